import { apiErrorOf } from './api-client';
import type { ApiError } from './api-client';
import { fieldsOf, quote, textOf } from './decode-fields';

export type WatchEvent =
  | { readonly kind: 'set' | 'delete'; readonly meta: ObjectMeta; readonly object: unknown }
  /** initialEventsEnd: all objects that were there when the watch began have been sent. */
  | { readonly kind: 'bookmark'; readonly resourceVersion: string; readonly initialEventsEnd: boolean }
  | { readonly kind: 'error'; readonly error: ApiError };

export interface ObjectMeta {
  /** '' for objects without a namespace, or where it is missing. */
  readonly namespace: string;
  readonly name: string;
  readonly resourceVersion: string;
}

/** Missing or wrong fields are ''. */
export function decodeMeta(object: unknown): ObjectMeta {
  const metadata = fieldsOf(fieldsOf(object).metadata);
  return {
    namespace: textOf(metadata.namespace),
    name: textOf(metadata.name),
    resourceVersion: textOf(metadata.resourceVersion),
  };
}

/** One line of a watch. Throws SyntaxError where it is no JSON, and Error where it is no event. */
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
      throw new Error(`sent something that is no event (type ${quote(type)})`);
  }
}
