/** Checks whether an answer with status 200 is really the requested list. */
import { fieldsOf, textOf } from './decode-fields';
import { oneLine } from './text-bounds';

/** An answer with status 200 that is not the list. It does not mean that there are no objects. */
export class NotAListError extends Error {
  override readonly name = 'NotAListError';
  constructor(kind: string, got: string) {
    super(`answered 200 with ${got} instead of a ${kind}List`);
  }
}

export interface ListMeta {
  readonly resourceVersion: string;
  /** '' after the last page. */
  readonly continueToken: string;
}

function nameOf(answer: unknown): string {
  if (answer === null) return 'null';
  if (Array.isArray(answer)) return 'an array';
  if (typeof answer !== 'object') return `a ${typeof answer}`;
  const { kind, message } = fieldsOf(answer);
  if (typeof kind !== 'string' || kind === '') return 'an object without a kind';
  const why = kind === 'Status' && typeof message === 'string' ? ` (${message})` : '';
  return oneLine(`a ${kind}${why}`, 200);
}

/** Refuses a list of another kind before its items are read. The kind may be missing here, because it may come after the items. */
export function checkListKind(before: unknown, kind: string): void {
  const said = fieldsOf(before).kind;
  if (said !== undefined && said !== `${kind}List`) throw new NotAListError(kind, nameOf(before));
}

/** Decodes the fields around a list's items. Throws NotAListError when it is not a list of this kind. Go prints an empty list as null. */
export function decodeList(envelope: unknown, kind: string): ListMeta {
  const { kind: said, items, metadata } = fieldsOf(envelope);
  if (said !== `${kind}List`) throw new NotAListError(kind, nameOf(envelope));
  if (items !== null && !(Array.isArray(items) && items.length === 0))
    throw new NotAListError(kind, items === undefined ? 'a list without items' : 'a list whose items are not objects');
  const { resourceVersion, continue: continueToken } = fieldsOf(metadata);
  return { resourceVersion: textOf(resourceVersion), continueToken: textOf(continueToken) };
}

/** Refuses an object of another kind. Items of lists may have no kind. */
export function checkObjectKind(object: unknown, kind: string): void {
  const said = fieldsOf(object).kind;
  if (said !== undefined && said !== '' && said !== kind)
    throw new Error(oneLine(`sent ${nameOf(object)} for a ${kind}`));
}
