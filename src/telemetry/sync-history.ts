/** How long syncs took in the last hour, in steps of ten seconds: 360 steps at most, however many syncs. */
const stepMs = 10_000;
const hourMs = 3_600_000;

interface Step {
  count: number;
  totalMs: number;
  maxMs: number;
}

export class SyncHistory {
  /** By start; in order, since time goes on. */
  private readonly steps = new Map<number, Step>();

  add(atMs: number, ms: number): void {
    const start = Math.floor(atMs / stepMs) * stepMs;
    const step = this.steps.get(start) ?? { count: 0, totalMs: 0, maxMs: 0 };
    this.steps.set(start, {
      count: step.count + 1,
      totalMs: step.totalMs + ms,
      maxMs: Math.max(step.maxMs, ms),
    });
    for (const old of this.steps.keys()) {
      if (old > atMs - hourMs) break;
      this.steps.delete(old);
    }
  }

  /** Start, syncs, mean and longest time of each step with a sync, all in milliseconds. */
  lastHour(nowMs: number): [number, number, number, number][] {
    return [...this.steps].flatMap(([start, { count, totalMs, maxMs }]) =>
      start > nowMs - hourMs ? [[start, count, Math.round(totalMs / count), Math.round(maxMs)]] : [],
    );
  }
}
