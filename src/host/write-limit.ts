/** How long a write may take: a tool that hangs holds up every later change. */

/** The lock of writes and the tools' own are waited for within it. */
const leastMs = 20_000;
const mostMs = 120_000;
/** A slow machine takes a fifth of it. */
const msPerMebibyte = 20_000;

export class WriteLimit {
  /** That ended at their limit, one after the other: the next may take twice as long. */
  private inARow = 0;

  ms(input: string): number {
    const bySize = leastMs + (input.length / 2 ** 20) * msPerMebibyte;
    return Math.min(mostMs, bySize * 2 ** this.inARow);
  }

  ended(atItsLimit: boolean): void {
    this.inARow = atItsLimit ? this.inARow + 1 : 0;
  }
}
