/** Reads lists and watches object by object as they arrive, and refuses answers that are neither. */
import type { HttpResponse, ReadLimits } from '../../host/http';
import { messageOf } from '../../model/error-message';
import { ApiError } from './api-client';
import { LineSplitter } from './line-splitter';
import { checkListKind, checkObjectKind, decodeList, type ListMeta } from './list-answer';
import { ListSplitter } from './list-splitter';
import { oneLine } from './text-bounds';
import { decodeMeta, type ObjectMeta, parseWatchEvent, type WatchEvent } from './watch-event';

/** A watch sent something that is not a valid event. */
export class BadEventError extends Error {
  override readonly name = 'BadEventError';
}

/** Reads one page of a list. */
export async function readList(
  response: HttpResponse,
  kind: string,
  limits: ReadLimits,
  onObject: (meta: ObjectMeta, object: unknown) => void,
): Promise<ListMeta> {
  const items = new ListSplitter(
    (text) => {
      const object: unknown = JSON.parse(text);
      checkObjectKind(object, kind);
      onObject(decodeMeta(object), object);
    },
    (before) => checkListKind(before, kind),
  );
  await response.read((chunk) => items.push(chunk), limits);
  return decodeList(items.end(), kind);
}

/** Reads a watch until it ends. Throws ApiError for an ERROR event, BadEventError, and like HttpResponse.read. */
export async function readWatch(
  response: HttpResponse,
  kind: string,
  limits: ReadLimits,
  onEvent: (event: Exclude<WatchEvent, { kind: 'error' }>) => void,
): Promise<void> {
  const lines = new LineSplitter((line) => onEvent(eventOf(line, kind)));
  await response.read((chunk) => lines.push(chunk), limits);
}

function eventOf(line: string, kind: string): Exclude<WatchEvent, { kind: 'error' }> {
  let event: WatchEvent;
  try {
    event = parseWatchEvent(line);
    if (event.kind === 'set' || event.kind === 'delete') checkObjectKind(event.object, kind);
  } catch (error) {
    throw error instanceof ApiError ? error : new BadEventError(oneLine(messageOf(error)));
  }
  if (event.kind === 'error') throw event.error;
  return event;
}
