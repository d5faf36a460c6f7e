/** Says in words how the rules differ from the Plan. */
import type { ExpectedWay, ObservedWay } from '../compare/ways';

/**
 * Returns '' if the rules do what the Plan says.
 *
 * @param isRelayed the rules should leave the connection alone, because a listener of vipwire serves it.
 */
export function disagree(way: ExpectedWay, observed: ObservedWay, isRelayed: boolean): string {
  if (observed.kind === 'unknown') return 'one of the rules is not understood, so what the rules do is unknown';
  const wanted = isRelayed ? 'untouched' : way.kind;
  if (wanted !== observed.kind) return `by the rules the connection is ${observed.kind}, not ${wanted}`;
  if (isRelayed) return '';
  const missing = [...way.endpoints.keys()].filter((end) => !observed.endpoints.has(end));
  const extra = [...observed.endpoints.keys()].filter((end) => !way.endpoints.has(end));
  return [
    ...(missing.length === 0 ? [] : [`the rules do not lead to ${missing.join(', ')}`]),
    ...(extra.length === 0 ? [] : [`the rules also lead to ${extra.join(', ')}`]),
  ].join('; ');
}
