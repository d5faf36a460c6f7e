/** Counts who uses something that is there once for all of its users. */
export class UseCounts {
  readonly #counts = new Map<string, number>();

  /** Returns whether this is the first use. */
  add(name: string): boolean {
    const count = this.#counts.get(name) ?? 0;
    this.#counts.set(name, count + 1);
    return count === 0;
  }

  /** Returns whether this was the last use. */
  remove(name: string): boolean {
    const count = this.#counts.get(name) ?? 0;
    if (count > 1) this.#counts.set(name, count - 1);
    else this.#counts.delete(name);
    return count === 1;
  }

  clear(): void {
    this.#counts.clear();
  }
}
