/** Desired and observed state in one data structure, which knows at any time what differs, at the cost of what changed. */

import { finish, type Pieces } from '../model/pieces';

export interface Pending<K, V> {
  /** The desired values that differ from the observed ones. */
  readonly updates: ReadonlyMap<K, V>;
  /** The keys that are observed but not desired. */
  readonly deletions: ReadonlySet<K>;
}

/** A read in progress: the keys that were written since it began. */
export type OpenRead<K> = ReadonlySet<K>;

/** A comparison does so many keys at a time. */
const keysPerPiece = 2000;

/** Values are compared with ===, so they are strings, or objects of which equal ones are the same object. */
export class DeltaTracker<K, V> {
  readonly #desired = new Map<K, V>();
  #observed = new Map<K, V>();
  /** The keys at which desired and observed differ. */
  #differing = new Set<K>();
  readonly #reads = new Map<OpenRead<K>, Set<K>>();
  /** Of comparisons that are under way, the keys whose desired value changed since they began. */
  readonly #comparisons = new Map<OpenRead<K>, Set<K>>();

  getDesired(key: K): V | undefined {
    return this.#desired.get(key);
  }

  desiredEntries(): IterableIterator<[K, V]> {
    return this.#desired.entries();
  }

  setDesired(key: K, value: V): void {
    const seen = this.#observed.get(key);
    // If the observed string is equal, it is kept: one copy in memory, and the next comparison is by identity.
    this.#desired.set(key, seen !== undefined && seen === value ? seen : value);
    for (const changed of this.#comparisons.values()) changed.add(key);
    this.#compare(key);
  }

  deleteDesired(key: K): void {
    this.#desired.delete(key);
    for (const changed of this.#comparisons.values()) changed.add(key);
    this.#compare(key);
  }

  clearDesired(): void {
    for (const changed of this.#comparisons.values()) for (const key of this.#desired.keys()) changed.add(key);
    this.#desired.clear();
    this.#differing.clear();
    for (const key of this.#observed.keys()) this.#differing.add(key);
  }

  getObserved(key: K): V | undefined {
    return this.#observed.get(key);
  }

  observedEntries(): IterableIterator<[K, V]> {
    return this.#observed.entries();
  }

  /** What is written from now on counts as written, whatever the read finds. */
  beginRead(): OpenRead<K> {
    const read = new Set<K>();
    this.#reads.set(read, read);
    return read;
  }

  /** Call it when the read has ended or failed. */
  endRead(read: OpenRead<K>): void {
    this.#reads.delete(read);
    this.#comparisons.delete(read);
  }

  /** Takes what a read found, except for the keys that were written since it began, and compares everything anew. */
  replaceObserved(observed: Map<K, V>, writtenMeanwhile: OpenRead<K> = new Set()): void {
    finish(this.compareInPieces(observed, writtenMeanwhile))();
    this.#comparisons.delete(writtenMeanwhile);
  }

  /**
   * As replaceObserved, in pieces: values may be desired and written between them. Nothing is taken before the function that it returns is
   * called, which is done soon. The read must still be open then.
   */
  *compareInPieces(observed: Map<K, V>, read: OpenRead<K>): Pieces<() => void> {
    const changed = new Set<K>();
    this.#comparisons.set(read, changed);
    const differing = new Set<K>();
    let done = 0;
    for (const [key, value] of this.#desired) {
      if (++done % keysPerPiece === 0) yield;
      if (observed.get(key) === value) observed.set(key, value);
      else differing.add(key);
    }
    for (const key of observed.keys()) {
      if (++done % keysPerPiece === 0) yield;
      if (!this.#desired.has(key)) differing.add(key);
    }
    return () => {
      for (const key of read) {
        const value = this.#observed.get(key);
        if (value === undefined) observed.delete(key);
        else observed.set(key, value);
      }
      this.#observed = observed;
      this.#differing = differing;
      for (const keys of [changed, read]) for (const key of keys) this.#compare(key);
    };
  }

  /** Records what a write did. Undefined means that the key is gone. */
  setObserved(key: K, value: V | undefined): void {
    if (value === undefined) this.#observed.delete(key);
    else this.#observed.set(key, this.#sharedCopy(key, value));
    for (const read of this.#reads.values()) read.add(key);
    this.#compare(key);
  }

  get inSync(): boolean {
    return this.#differing.size === 0;
  }

  pending(): Pending<K, V> {
    return finish(this.pendingInPieces());
  }

  /** As pending, in pieces. Nothing may be desired or written between them. */
  *pendingInPieces(): Pieces<Pending<K, V>> {
    let done = 0;
    const updates = new Map<K, V>();
    const deletions = new Set<K>();
    for (const key of this.#differing) {
      if (++done % keysPerPiece === 0) yield;
      const value = this.#desired.get(key);
      if (value === undefined) deletions.add(key);
      else updates.set(key, value);
    }
    return { updates, deletions };
  }

  /** Two equal strings take one string's room. */
  #sharedCopy(key: K, value: V): V {
    const desired = this.#desired.get(key);
    return desired !== undefined && desired === value ? desired : value;
  }

  #compare(key: K): void {
    if (this.#desired.get(key) === this.#observed.get(key)) this.#differing.delete(key);
    else this.#differing.add(key);
  }
}
