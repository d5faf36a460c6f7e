/** Resource versions are opaque by contract, but are increasing numbers in every API server (KEP-5504). */
export function isOlder(version: string, than: string): boolean {
  return /^\d+$/.test(version) && /^\d+$/.test(than) && BigInt(version) < BigInt(than);
}

const rememberedDeletions = 1000;

/**
 * Keys and resource versions of the objects that the API server has reported. A new list is compared with them, and they show whether
 * an event is new, repeated or late.
 */
export class KnownObjects {
  readonly #versions = new Map<string, string>();
  /** The latest deletions, oldest first. */
  readonly #deleted = new Map<string, string>();

  get size(): number {
    return this.#versions.size;
  }

  keys(): IterableIterator<string> {
    return this.#versions.keys();
  }

  /** Takes an object of a list. Returns false when this version is known. An older version counts too: etcd may come from a backup. */
  list(key: string, version: string): boolean {
    if (version !== '' && this.#versions.get(key) === version) return false;
    this.#versions.set(key, version);
    return true;
  }

  /** Takes an object that was added or modified. Returns false when this version or a later one is known. */
  set(key: string, version: string): boolean {
    const known = this.#versions.get(key) ?? this.#deleted.get(key);
    if (known !== undefined && version !== '' && (known === version || isOlder(version, known))) return false;
    this.#versions.set(key, version);
    return true;
  }

  /**
   * Takes the deletion of an object. Returns false when the object was not known or a later version is known.
   * @param version the version of the deletion itself.
   */
  delete(key: string, version: string): boolean {
    const known = this.#versions.get(key);
    if (known !== undefined && isOlder(version, known)) return false;
    this.#deleted.delete(key);
    this.#deleted.set(key, version);
    if (this.#deleted.size > rememberedDeletions) {
      for (const oldest of this.#deleted.keys()) {
        this.#deleted.delete(oldest);
        break;
      }
    }
    return this.#versions.delete(key);
  }

  /** To be called after a whole list. Forgets the deletions: after a restore of etcd, a deleted object may return with an older version. */
  listed(): void {
    this.#deleted.clear();
  }

  /** To be called when versions went back. Equal versions may then mean different states, so the next list reports every object again. */
  distrust(): void {
    for (const key of this.#versions.keys()) this.#versions.set(key, '');
  }

  /** Removes an object that a new list does not have. */
  forget(key: string): void {
    this.#versions.delete(key);
  }
}
