/** How long a write may take. A tool that hangs holds up every later change. */

/** It includes the wait for the write lock and for the tools' own lock. */
const leastMs = 20_000;
const mostMs = 120_000;
/** A slow machine needs a fifth of it. */
const msPerMebibyte = 20_000;

export class WriteLimit {
  /** The number of writes in a row that ended at their limit. Each doubles the limit of the next one. */
  #inARow = 0;

  ms(input: string): number {
    const bySize = leastMs + (input.length / 2 ** 20) * msPerMebibyte;
    return Math.min(mostMs, bySize * 2 ** this.#inARow);
  }

  ended(atItsLimit: boolean): void {
    this.#inARow = atItsLimit ? this.#inARow + 1 : 0;
  }
}
