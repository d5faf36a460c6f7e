/** What tells the list that was asked for from whatever else is answered with a 200. */
import { fieldsOf, textOf } from './decode-fields';
import { oneLine } from './text-bounds';

/** An answer of 200 that is not the list: it does not say that there is nothing. */
export class NotAListError extends Error {
  override readonly name = 'NotAListError';
  constructor(kind: string, got: string) {
    super(`answered 200 with ${got} instead of a ${kind}List`);
  }
}

export interface ListMeta {
  readonly resourceVersion: string;
  /** '': this was the last page. */
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

/** Refuses a list of another kind before its items are looked at. What comes before the items need not say the kind yet. */
export function checkListKind(before: unknown, kind: string): void {
  const said = fieldsOf(before).kind;
  if (said !== undefined && said !== `${kind}List`) throw new NotAListError(kind, nameOf(before));
}

/** What is around the items of a list of this kind. Throws NotAListError. Go prints a list that has no items as null. */
export function decodeList(envelope: unknown, kind: string): ListMeta {
  const { kind: said, items, metadata } = fieldsOf(envelope);
  if (said !== `${kind}List`) throw new NotAListError(kind, nameOf(envelope));
  if (items !== null && !(Array.isArray(items) && items.length === 0))
    throw new NotAListError(kind, items === undefined ? 'a list without items' : 'a list whose items are no objects');
  const { resourceVersion, continue: continueToken } = fieldsOf(metadata);
  return { resourceVersion: textOf(resourceVersion), continueToken: textOf(continueToken) };
}

/** Refuses an object that says to be of another kind. Items of lists need not say. */
export function checkObjectKind(object: unknown, kind: string): void {
  const said = fieldsOf(object).kind;
  if (said !== undefined && said !== '' && said !== kind)
    throw new Error(oneLine(`sent ${nameOf(object)} for a ${kind}`));
}
