/** Time, so that tests can be in charge of it. */
export interface Clock {
  /**
   * Milliseconds on a clock that only goes forward, for durations: the clock of the wall may be put back by a day. It begins near the
   * time of the epoch at which this process started, so that no moment of it is near 0.
   */
  now(): number;
  /** Milliseconds since the epoch, for what people and other machines are told. Never for durations. */
  epochMs(): number;
  /** Resolves after ms, or at once when the signal aborts. */
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
