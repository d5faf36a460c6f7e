/** Resource versions are opaque by contract, and numbers that grow in every API server there is (KEP-5504). */
export function isOlder(version: string, than: string): boolean {
  return /^\d+$/.test(version) && /^\d+$/.test(than) && BigInt(version) < BigInt(than);
}

const rememberedDeletions = 1000;

/**
 * Keys and resource versions of the objects that the API server told of: what a new list is compared with, and what tells
 * an event that came twice, or late, from news.
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

  /** An object of a list. False: it is known as it is. What a list says goes, older or not: etcd may come from a backup. */
  list(key: string, version: string): boolean {
    if (version !== '' && this.#versions.get(key) === version) return false;
    this.#versions.set(key, version);
    return true;
  }

  /** An object that was added or modified. False: it is known as it is, or as it was later. */
  set(key: string, version: string): boolean {
    const known = this.#versions.get(key) ?? this.#deleted.get(key);
    if (known !== undefined && version !== '' && (known === version || isOlder(version, known))) return false;
    this.#versions.set(key, version);
    return true;
  }

  /** False: it was not known, or is known as it was later. The version is the deletion's own. */
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

  /** All that there is was listed: what was deleted before may have an older version when it comes back, as from a backup of etcd. */
  listed(): void {
    this.#deleted.clear();
  }

  /** Versions went back, so that the same version may now be another state: the next list tells everything anew. */
  distrust(): void {
    for (const key of this.#versions.keys()) this.#versions.set(key, '');
  }

  /** An object that a new list lacks. */
  forget(key: string): void {
    this.#versions.delete(key);
  }
}
