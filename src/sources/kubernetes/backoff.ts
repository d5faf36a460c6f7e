import type { Clock } from '../../host/clock';

export interface BackoffTiming {
  readonly initialMs: number;
  readonly maxMs: number;
  /** A failure that comes this long after the one before starts from initialMs again. */
  readonly resetMs: number;
}

/** client-go's reflector's. */
export const apiBackoff: BackoffTiming = { initialMs: 800, maxMs: 30_000, resetMs: 120_000 };

/**
 * How long to wait after a failure: doubling from initialMs to maxMs, spread at random over the upper half, so that the
 * nodes of a cluster do not all come back in the same second.
 */
export class Backoff {
  #upperMs = 0;
  #lastMs = -Infinity;

  constructor(
    private readonly timing: BackoffTiming,
    private readonly clock: Clock,
    /** In [0, 1). */
    private readonly random: () => number,
  ) {}

  nextMs(): number {
    const { initialMs, maxMs, resetMs } = this.timing;
    const nowMs = this.clock.now();
    const afresh = this.#upperMs === 0 || nowMs - this.#lastMs > resetMs;
    this.#upperMs = Math.min(maxMs, (afresh ? initialMs : this.#upperMs) * 2);
    const waitMs = (this.#upperMs / 2) * (1 + this.random());
    this.#lastMs = nowMs + waitMs;
    return waitMs;
  }
}
