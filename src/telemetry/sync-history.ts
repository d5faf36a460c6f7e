/** Durations of the syncs in the last hour, in steps of ten seconds: at most 360 steps, however many syncs there were. */
const stepMs = 10_000;
const hourMs = 3_600_000;

interface Step {
  count: number;
  totalMs: number;
  maxMs: number;
}

export class SyncHistory {
  /** By start. The order of insertion is the order of time. */
  readonly #steps = new Map<number, Step>();

  add(atMs: number, ms: number): void {
    const start = Math.floor(atMs / stepMs) * stepMs;
    const step = this.#steps.get(start) ?? { count: 0, totalMs: 0, maxMs: 0 };
    this.#steps.set(start, {
      count: step.count + 1,
      totalMs: step.totalMs + ms,
      maxMs: Math.max(step.maxMs, ms),
    });
    for (const old of this.#steps.keys()) {
      if (old > atMs - hourMs) break;
      this.#steps.delete(old);
    }
  }

  /** Returns start, number of syncs, mean and longest time of each step that had a sync. All times are in milliseconds. */
  lastHour(nowMs: number): [number, number, number, number][] {
    return [...this.#steps].flatMap(([start, { count, totalMs, maxMs }]) =>
      start > nowMs - hourMs ? [[start, count, Math.round(totalMs / count), Math.round(maxMs)]] : [],
    );
  }
}
