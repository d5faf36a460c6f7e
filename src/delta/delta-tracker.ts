/** Desired against observed as one data structure: what differs is known at any time, at the cost of what changed. */

export interface Pending<K, V> {
  /** Desired and not observed so. */
  readonly updates: ReadonlyMap<K, V>;
  /** Observed and not desired. */
  readonly deletions: ReadonlySet<K>;
}

/** A read that is under way: the keys that were written since it began. */
export type OpenRead<K> = ReadonlySet<K>;

/** Values are compared with ===: strings, or values that are shared where they are equal. */
export class DeltaTracker<K, V> {
  readonly #desired = new Map<K, V>();
  #observed = new Map<K, V>();
  /** Keys at which the two differ. */
  readonly #differing = new Set<K>();
  readonly #reads = new Set<Set<K>>();

  getDesired(key: K): V | undefined {
    return this.#desired.get(key);
  }

  desiredEntries(): IterableIterator<[K, V]> {
    return this.#desired.entries();
  }

  setDesired(key: K, value: V): void {
    const seen = this.#observed.get(key);
    // The observed string is kept where it is equal: one copy in memory, and the next comparison is by identity.
    this.#desired.set(key, seen !== undefined && seen === value ? seen : value);
    this.#compare(key);
  }

  deleteDesired(key: K): void {
    this.#desired.delete(key);
    this.#compare(key);
  }

  clearDesired(): void {
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

  /** What is written from here on counts as written, whatever the read finds. */
  beginRead(): OpenRead<K> {
    const read = new Set<K>();
    this.#reads.add(read);
    return read;
  }

  /** The read came to its end, or to nothing. */
  endRead(read: OpenRead<K>): void {
    this.#reads.delete(read as Set<K>);
  }

  /** What a read found, but for what was written since it began; everything is compared anew. */
  replaceObserved(observed: Map<K, V>, writtenMeanwhile: Iterable<K> = []): void {
    for (const key of writtenMeanwhile) {
      const value = this.#observed.get(key);
      if (value === undefined) observed.delete(key);
      else observed.set(key, value);
    }
    this.#observed = observed;
    this.#differing.clear();
    for (const [key, value] of this.#desired) {
      if (observed.get(key) === value) observed.set(key, value);
      else this.#differing.add(key);
    }
    for (const key of observed.keys()) if (!this.#desired.has(key)) this.#differing.add(key);
  }

  /** What a write did; undefined: the key is gone. */
  setObserved(key: K, value: V | undefined): void {
    if (value === undefined) this.#observed.delete(key);
    else this.#observed.set(key, value);
    for (const read of this.#reads) read.add(key);
    this.#compare(key);
  }

  get inSync(): boolean {
    return this.#differing.size === 0;
  }

  pending(): Pending<K, V> {
    const updates = new Map<K, V>();
    const deletions = new Set<K>();
    for (const key of this.#differing) {
      const value = this.#desired.get(key);
      if (value === undefined) deletions.add(key);
      else updates.set(key, value);
    }
    return { updates, deletions };
  }

  #compare(key: K): void {
    if (this.#desired.get(key) === this.#observed.get(key)) this.#differing.delete(key);
    else this.#differing.add(key);
  }
}
