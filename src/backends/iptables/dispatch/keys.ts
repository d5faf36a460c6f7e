/** The keys of a dispatch tree in order, and who claims which key. */
import type { Protocol } from '../../../model/protocol';

export interface DispatchEntry {
  /** '' in a tree by port. */
  readonly address: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** Who claims the key. Of several claims to one key the first by owner is served. */
  readonly owner: string;
  /** The comment of the rule. */
  readonly comment: string;
  /** What follows the matches of the rule: `-j KUBE-SVC-...`. */
  readonly action: string;
}

/** When more keys than this come or go, one merge costs less than the insertions. */
const mostInsertions = 64;

/** Returns the first index from `low` on whose text is not before this one. */
export function lowerBound(sorted: readonly string[], text: string, low = 0, high = sorted.length): number {
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? '') < text) low = middle + 1;
    else high = middle;
  }
  return low;
}

export class DispatchKeys {
  #keys: string[] = [];
  /** Claims to each key, sorted by owner, so that a claim is added or removed without a look at all the others. */
  readonly #claims = new Map<string, DispatchEntry[]>();
  readonly #keyOf: (entry: DispatchEntry) => string;

  constructor(keyOf: (entry: DispatchEntry) => string) {
    this.#keyOf = keyOf;
  }

  /** The claimed keys, in order. */
  get sorted(): readonly string[] {
    return this.#keys;
  }

  /** The claim that is served. */
  first(key: string): DispatchEntry | undefined {
    return this.#claims.get(key)?.[0];
  }

  /** Removes and adds claims. Returns the keys of all these entries, sorted, each once. */
  replace(removed: readonly DispatchEntry[], added: readonly DispatchEntry[]): readonly string[] {
    const touched = new Map<string, boolean>();
    const touch = (key: string): void => {
      if (!touched.has(key)) touched.set(key, this.#claims.has(key));
    };
    for (const entry of removed) {
      const key = this.#keyOf(entry);
      touch(key);
      this.#remove(key, entry);
    }
    for (const entry of added) {
      const key = this.#keyOf(entry);
      touch(key);
      this.#add(key, entry);
    }
    const sorted = [...touched.keys()].sort();
    const goneKeys = new Set(sorted.filter((key) => touched.get(key) === true && !this.#claims.has(key)));
    const newKeys = sorted.filter((key) => touched.get(key) === false && this.#claims.has(key));
    this.#replaceKeys(goneKeys, newKeys);
    return sorted;
  }

  #remove(key: string, { owner }: DispatchEntry): void {
    const claims = this.#claims.get(key) ?? [];
    const at = placeOf(claims, owner);
    if (claims[at]?.owner !== owner) return;
    if (claims.length === 1) this.#claims.delete(key);
    else claims.splice(at, 1);
  }

  #add(key: string, entry: DispatchEntry): void {
    const claims = this.#claims.get(key);
    if (claims === undefined) {
      this.#claims.set(key, [entry]);
      return;
    }
    const at = placeOf(claims, entry.owner);
    claims.splice(at, claims[at]?.owner === entry.owner ? 1 : 0, entry);
  }

  /** `newKeys` must be sorted. */
  #replaceKeys(goneKeys: ReadonlySet<string>, newKeys: readonly string[]): void {
    if (goneKeys.size + newKeys.length <= mostInsertions) {
      for (const key of goneKeys) this.#keys.splice(lowerBound(this.#keys, key), 1);
      for (const key of newKeys) this.#keys.splice(lowerBound(this.#keys, key), 0, key);
      return;
    }
    const merged: string[] = [];
    let next = 0;
    for (const key of this.#keys) {
      for (; next < newKeys.length && (newKeys[next] ?? '') < key; next++) merged.push(newKeys[next] ?? '');
      if (!goneKeys.has(key)) merged.push(key);
    }
    for (; next < newKeys.length; next++) merged.push(newKeys[next] ?? '');
    this.#keys = merged;
  }
}

/** The index at which the owner's claim is or would be. */
function placeOf(claims: readonly DispatchEntry[], owner: string): number {
  let [low, high] = [0, claims.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((claims[middle]?.owner ?? '') < owner) low = middle + 1;
    else high = middle;
  }
  return low;
}
