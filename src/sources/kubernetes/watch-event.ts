import { type ApiError, apiErrorOf } from './api-client';
import { fieldsOf, quote, textOf } from './decode-fields';

export type WatchEvent =
  | { readonly kind: 'set' | 'delete'; readonly meta: ObjectMeta; readonly object: unknown }
  /** initialEventsEnd means that all objects that existed when the watch began have been sent. */
  | { readonly kind: 'bookmark'; readonly resourceVersion: string; readonly initialEventsEnd: boolean }
  | { readonly kind: 'error'; readonly error: ApiError };

export interface ObjectMeta {
  /** '' for objects without a namespace, and when it is missing. */
  readonly namespace: string;
  readonly name: string;
  readonly resourceVersion: string;
}

/** Missing fields and fields of a wrong type become ''. */
export function decodeMeta(object: unknown): ObjectMeta {
  const metadata = fieldsOf(fieldsOf(object).metadata);
  return {
    namespace: textOf(metadata.namespace),
    name: textOf(metadata.name),
    resourceVersion: textOf(metadata.resourceVersion),
  };
}

/** Parses one line of a watch. Throws SyntaxError when it is not JSON, and Error when it is not an event. */
export function parseWatchEvent(line: string): WatchEvent {
  const { type, object } = fieldsOf(JSON.parse(line));
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
      return { kind: 'set', meta: decodeMeta(object), object };
    case 'DELETED':
      return { kind: 'delete', meta: decodeMeta(object), object };
    case 'BOOKMARK': {
      const annotations = fieldsOf(fieldsOf(fieldsOf(object).metadata).annotations);
      const initialEventsEnd = annotations['k8s.io/initial-events-end'] === 'true';
      return { kind: 'bookmark', resourceVersion: decodeMeta(object).resourceVersion, initialEventsEnd };
    }
    case 'ERROR':
      return { kind: 'error', error: apiErrorOf(object, 500) };
    default:
      throw new Error(`sent something that is not an event (type ${quote(type)})`);
  }
}
