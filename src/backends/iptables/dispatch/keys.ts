/** Who wants which key of a dispatch tree, with the keys in order. */
import type { Protocol } from '../../../model/protocol';

export interface DispatchEntry {
  /** '' in a tree of ports. */
  readonly address: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** Who claims it: of several claims to one key the first in order serves. */
  readonly owner: string;
  /** The rule's comment and what follows its matches: `-j KUBE-SVC-...`. */
  readonly comment: string;
  readonly action: string;
}

/** Beyond so many keys that come or go, one merge costs less than as many insertions. */
const mostInsertions = 64;

/** The first index whose text is not before this one. */
export function lowerBound(sorted: readonly string[], text: string, low = 0, high = sorted.length): number {
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? '') < text) low = middle + 1;
    else high = middle;
  }
  return low;
}

export class DispatchKeys {
  private keys: string[] = [];
  /** Claims to each key, sorted by owner: a claim comes or goes without a look at all the others. */
  private readonly claims = new Map<string, DispatchEntry[]>();

  constructor(private readonly keyOf: (entry: DispatchEntry) => string) {}

  /** Those that somebody claims. */
  get sorted(): readonly string[] {
    return this.keys;
  }

  /** The claim that is served. */
  first(key: string): DispatchEntry | undefined {
    return this.claims.get(key)?.[0];
  }

  /** Returns the keys that these entries have, sorted, each once. */
  replace(removed: readonly DispatchEntry[], added: readonly DispatchEntry[]): readonly string[] {
    const touched = new Map<string, boolean>();
    const touch = (key: string): void => {
      if (!touched.has(key)) touched.set(key, this.claims.has(key));
    };
    for (const entry of removed) {
      const key = this.keyOf(entry);
      touch(key);
      this.remove(key, entry);
    }
    for (const entry of added) {
      const key = this.keyOf(entry);
      touch(key);
      this.add(key, entry);
    }
    const sorted = [...touched.keys()].sort();
    const gone = new Set(sorted.filter((key) => touched.get(key) === true && !this.claims.has(key)));
    const come = sorted.filter((key) => touched.get(key) === false && this.claims.has(key));
    this.replaceKeys(gone, come);
    return sorted;
  }

  private remove(key: string, { owner }: DispatchEntry): void {
    const claims = this.claims.get(key) ?? [];
    const at = placeOf(claims, owner);
    if (claims[at]?.owner !== owner) return;
    if (claims.length === 1) this.claims.delete(key);
    else claims.splice(at, 1);
  }

  private add(key: string, entry: DispatchEntry): void {
    const claims = this.claims.get(key);
    if (claims === undefined) {
      this.claims.set(key, [entry]);
      return;
    }
    const at = placeOf(claims, entry.owner);
    claims.splice(at, claims[at]?.owner === entry.owner ? 1 : 0, entry);
  }

  /** `come` is sorted. */
  private replaceKeys(gone: ReadonlySet<string>, come: readonly string[]): void {
    if (gone.size + come.length <= mostInsertions) {
      for (const key of gone) this.keys.splice(lowerBound(this.keys, key), 1);
      for (const key of come) this.keys.splice(lowerBound(this.keys, key), 0, key);
      return;
    }
    const merged: string[] = [];
    let next = 0;
    for (const key of this.keys) {
      for (; next < come.length && (come[next] ?? '') < key; next++) merged.push(come[next] ?? '');
      if (!gone.has(key)) merged.push(key);
    }
    for (; next < come.length; next++) merged.push(come[next] ?? '');
    this.keys = merged;
  }
}

/** Where the owner's claim is, or would be. */
function placeOf(claims: readonly DispatchEntry[], owner: string): number {
  let [low, high] = [0, claims.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((claims[middle]?.owner ?? '') < owner) low = middle + 1;
    else high = middle;
  }
  return low;
}
