/** When the next round runs. Pure. */

export interface ScheduleSettings {
  /** From the end of one round to the start of the next, at least; a change after a quiet time goes out at once. */
  readonly minPeriodMs: number;
  /** A failed round is tried again after at most this. */
  readonly maxRetryMs: number;
}

export interface ScheduleState {
  /** undefined: no round yet. */
  readonly lastEndedMs: number | undefined;
  /** Rounds that failed one after the other. */
  readonly failures: number;
  /** Something came since the last round began. */
  readonly hasWork: boolean;
}

const firstRetryMs = 500;

/** Milliseconds from now to the next round; undefined: nothing to do. */
export function planNextRound(state: ScheduleState, settings: ScheduleSettings, nowMs: number): number | undefined {
  if (!state.hasWork && state.failures === 0) return undefined;
  if (state.lastEndedMs === undefined) return 0;
  const retryMs = Math.min(settings.maxRetryMs, firstRetryMs * 2 ** (state.failures - 1));
  // A change is a reason to try again as soon as any other round might run.
  const waitMs = state.failures > 0 && !state.hasWork ? Math.max(retryMs, settings.minPeriodMs) : settings.minPeriodMs;
  // No longer, should the clock have been put back.
  return Math.min(waitMs, Math.max(0, state.lastEndedMs + waitMs - nowMs));
}
