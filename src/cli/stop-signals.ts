import { messageOf } from '../model/error-message';
import type { Logger } from '../telemetry/log';

/** Resolves at SIGTERM or SIGINT. Called before anything takes time: until then these signals kill the process. */
export function awaitStopSignal(log: Logger): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      process.once(signal, () => {
        log.info({ signal }, 'stopping');
        resolve();
      });
  });
}

/** Resolves with the exit code: 0 after a stop signal, 1 where the agent gave up. */
export async function untilToldToStop(stopped: Promise<void>, failed: Promise<never>, log: Logger): Promise<0 | 1> {
  try {
    await Promise.race([stopped, failed]);
    return 0;
  } catch (error) {
    log.error({ reason: messageOf(error) }, 'cannot go on');
    return 1;
  }
}
