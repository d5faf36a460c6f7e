/** How a watch ended, or why it never began. */
import { HttpSilenceError } from '../../host/http';
import { ApiError } from './api-client';
import { BadEventError } from './read-answers';
import type { WatchEnd, WatchEndCause } from './resume-failures';
import { TextTooLongError } from './text-bounds';

/** A watch that was open, and how it ended. */
export class EndedWatch extends Error {
  override readonly name = 'EndedWatch';
  constructor(
    readonly end: WatchEnd,
    /** undefined: in good order. */
    readonly failure: Error | undefined,
  ) {
    super(failure?.message ?? 'ended by the server');
  }
}

/** A bookmark is older than what was told before. */
export class WentBackError extends BadEventError {}

/** For metrics: few and stable. */
export function endReason(failure: Error | undefined): string {
  if (failure === undefined) return 'ended';
  if (failure instanceof ApiError) return String(failure.status);
  return failure instanceof HttpSilenceError ? 'silent' : 'broken';
}

export function causeOf(failure: Error | undefined): WatchEndCause {
  if (failure instanceof HttpSilenceError) return 'silent';
  const isBad = failure instanceof ApiError || failure instanceof BadEventError || failure instanceof TextTooLongError;
  return isBad ? 'bad' : 'over';
}

/** @param resumed of a watch that never opened. */
export function endOf(failure: Error, resumed: boolean): WatchEnd {
  return failure instanceof EndedWatch ? failure.end : { cause: refusalOf(failure), resumed, openMs: 0, events: 0 };
}

/** Of a watch that never opened. */
function refusalOf(failure: Error): WatchEndCause {
  if (failure instanceof ApiError) return failure.status === 429 || failure.status === 401 ? 'unanswered' : 'refused';
  return failure instanceof HttpSilenceError && failure.phase === 'answer' ? 'refused' : 'unanswered';
}
