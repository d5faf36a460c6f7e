/** How a watch ended, or why it never began. */
import { HttpSilenceError } from '../../host/http';
import { ApiError } from './api-client';
import { BadEventError } from './read-answers';
import type { WatchEnd, WatchEndCause } from './resume-failures';
import { TextTooLongError } from './text-bounds';

/** A watch was open, and has ended. */
export class EndedWatch extends Error {
  override readonly name = 'EndedWatch';
  constructor(
    readonly end: WatchEnd,
    /** undefined: it ended in good order. */
    readonly failure: Error | undefined,
  ) {
    super(failure?.message ?? 'ended by the server');
  }
}

/** A list or a bookmark is older than what the server sent before. */
export class WentBackError extends BadEventError {}

/** Returns the reason for metrics: there are few, and they stay the same. */
export function endReason(failure: Error | undefined): string {
  if (failure === undefined) return 'ended';
  if (failure instanceof ApiError) return String(failure.status);
  return failure instanceof HttpSilenceError ? 'silent' : 'broken';
}

/** @param failure of a watch that was open. */
export function causeOf(failure: Error | undefined): WatchEndCause {
  if (failure instanceof HttpSilenceError) return 'silent';
  const isBad = failure instanceof ApiError || failure instanceof BadEventError || failure instanceof TextTooLongError;
  return isBad ? 'bad' : 'over';
}

/** @param resumed for a watch that never opened: whether it was to begin where another had ended. */
export function endOf(failure: Error, resumed: boolean): WatchEnd {
  return failure instanceof EndedWatch ? failure.end : { cause: refusalOf(failure), resumed, openMs: 0, events: 0 };
}

/** Why a watch never opened. */
function refusalOf(failure: Error): WatchEndCause {
  if (failure instanceof ApiError) return failure.status === 429 || failure.status === 401 ? 'unanswered' : 'refused';
  return failure instanceof HttpSilenceError && failure.phase === 'answer' ? 'refused' : 'unanswered';
}
