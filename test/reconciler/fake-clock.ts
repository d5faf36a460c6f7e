import type { Clock } from '../../src/host/clock';

interface Sleeper {
  readonly atMs: number;
  readonly wake: () => void;
}

/** Everything that needs no time has been done. */
export async function settle(): Promise<void> {
  // A round gives up its turn where it takes long, as on a busy machine.
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Time that passes when a test says so. */
export class FakeClock implements Clock {
  private ms = 1_000_000;
  private sleepers = new Set<Sleeper>();

  /** How far the clock of the wall is off. */
  wallAheadMs = 0;

  now(): number {
    return this.ms;
  }

  epochMs(): number {
    return this.ms + this.wallAheadMs;
  }

  /** Who waits, and for how long from now. */
  get waitsMs(): readonly number[] {
    return [...this.sleepers].map(({ atMs }) => atMs - this.ms).sort((a, b) => a - b);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.resolve();
    return new Promise((resolve) => {
      const sleeper: Sleeper = {
        atMs: this.ms + ms,
        wake: () => {
          this.sleepers.delete(sleeper);
          signal?.removeEventListener('abort', sleeper.wake);
          resolve();
        },
      };
      this.sleepers.add(sleeper);
      signal?.addEventListener('abort', sleeper.wake);
    });
  }

  /** Wakes in order of time whoever is due, with all that follows from it. */
  async advance(ms: number): Promise<void> {
    const endMs = this.ms + ms;
    await settle();
    for (;;) {
      const [next] = [...this.sleepers].filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.ms = Math.max(this.ms, next.atMs);
      next.wake();
      await settle();
    }
    this.ms = endMs;
  }
}
