/** Time. Tests replace it by a clock of their own. */
export interface Clock {
  /**
   * Milliseconds on a clock that only goes forward, for durations: the time of day may be put back, even by a day. It starts near
   * epochMs, so that no value is near 0.
   */
  now(): number;
  /** Milliseconds since the epoch, for times that people and other machines read. Never for durations. */
  epochMs(): number;
  /** Resolves after `ms` milliseconds, or at once when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  epochMs: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve();
        return;
      }
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener('abort', done);
    }),
};
