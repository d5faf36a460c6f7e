import type { Clock } from '../host/clock';
import { messageOf } from '../model/error-message';
import type { Logger } from '../telemetry/log';

export interface Repetition {
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly pauseMs: () => number;
  readonly work: () => Promise<void>;
}

/** Works after each pause, until the signal is aborted. What fails is logged. */
export async function repeat({ clock, log, signal, pauseMs, work }: Repetition): Promise<void> {
  for (;;) {
    await clock.sleep(pauseMs(), signal);
    if (signal.aborted) return;
    await work().catch((error: unknown) => log.warn({ reason: messageOf(error) }, 'a check of this machine failed'));
  }
}
