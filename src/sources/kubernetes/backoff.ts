import type { Clock } from '../../host/clock';

export interface BackoffTiming {
  readonly initialMs: number;
  readonly maxMs: number;
  /** After this time without a failure, the next wait starts from initialMs again. */
  readonly resetMs: number;
}

/** The values of client-go's reflector. */
export const apiBackoff: BackoffTiming = { initialMs: 800, maxMs: 30_000, resetMs: 120_000 };

/**
 * Computes how long to wait after a failure. The wait doubles from initialMs to maxMs and is random within its upper half, so that
 * the nodes of a cluster do not all come back in the same second.
 */
export class Backoff {
  #upperMs = 0;
  #lastMs = -Infinity;

  readonly #timing: BackoffTiming;
  readonly #clock: Clock;
  readonly #random: () => number;

  /** @param random returns a number in [0, 1). */
  constructor(timing: BackoffTiming, clock: Clock, random: () => number) {
    this.#timing = timing;
    this.#clock = clock;
    this.#random = random;
  }

  nextMs(): number {
    const { initialMs, maxMs, resetMs } = this.#timing;
    const nowMs = this.#clock.now();
    const afresh = this.#upperMs === 0 || nowMs - this.#lastMs > resetMs;
    this.#upperMs = Math.min(maxMs, (afresh ? initialMs : this.#upperMs) * 2);
    const waitMs = (this.#upperMs / 2) * (1 + this.#random());
    this.#lastMs = nowMs + waitMs;
    return waitMs;
  }
}
