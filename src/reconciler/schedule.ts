/** When the next round runs. Pure. */

export interface ScheduleSettings {
  /** Least time from the end of one round to the start of the next. A change after a quiet time goes out at once. */
  readonly minPeriodMs: number;
  /** Longest time after which a failed round is tried again. */
  readonly maxRetryMs: number;
}

export interface ScheduleState {
  /** undefined: there was no round yet. */
  readonly lastEndedMs: number | undefined;
  /** Rounds that failed one after the other, up to the last one. */
  readonly failures: number;
  /** Something came since the last round began. */
  readonly hasWork: boolean;
}

const firstRetryMs = 500;

/** Returns the milliseconds from now to the next round, or undefined when there is nothing to do. */
export function planNextRound(state: ScheduleState, settings: ScheduleSettings, nowMs: number): number | undefined {
  if (!state.hasWork && state.failures === 0) return undefined;
  if (state.lastEndedMs === undefined) return 0;
  const retryMs = Math.min(settings.maxRetryMs, firstRetryMs * 2 ** (state.failures - 1));
  // A change is a reason to try again as soon as any other round might run.
  const waitMs = state.failures > 0 && !state.hasWork ? Math.max(retryMs, settings.minPeriodMs) : settings.minPeriodMs;
  // Never longer than that, also when the clock was put back.
  return Math.min(waitMs, Math.max(0, state.lastEndedMs + waitMs - nowMs));
}
