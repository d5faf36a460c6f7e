/** Desired and observed state in one data structure, which knows at any time what differs, at the cost of what changed. */

export interface Pending<K, V> {
  /** The desired values that differ from the observed ones. */
  readonly updates: ReadonlyMap<K, V>;
  /** The keys that are observed but not desired. */
  readonly deletions: ReadonlySet<K>;
}

/** A read in progress: the keys that were written since it began. */
export type OpenRead<K> = ReadonlySet<K>;

/** Values are compared with ===, so they are strings, or objects of which equal ones are the same object. */
export class DeltaTracker<K, V> {
  readonly #desired = new Map<K, V>();
  #observed = new Map<K, V>();
  /** The keys at which desired and observed differ. */
  readonly #differing = new Set<K>();
  readonly #reads = new Map<OpenRead<K>, Set<K>>();

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

  /** What is written from now on counts as written, whatever the read finds. */
  beginRead(): OpenRead<K> {
    const read = new Set<K>();
    this.#reads.set(read, read);
    return read;
  }

  /** Call it when the read has ended or failed. */
  endRead(read: OpenRead<K>): void {
    this.#reads.delete(read);
  }

  /** Takes what a read found, except for the keys that were written since it began, and compares everything anew. */
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

  /** Records what a write did. Undefined means that the key is gone. */
  setObserved(key: K, value: V | undefined): void {
    if (value === undefined) this.#observed.delete(key);
    else this.#observed.set(key, value);
    for (const read of this.#reads.values()) read.add(key);
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
