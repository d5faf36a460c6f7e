import { messageOf } from '../model/error-message';
import type { Logger } from '../telemetry/log';

/** Resolves with the exit code: 0 after SIGTERM or SIGINT, 1 where the agent gave up. */
export function untilToldToStop(failed: Promise<never>, log: Logger): Promise<number> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      process.once(signal, () => {
        log.info({ signal }, 'stopping');
        resolve(0);
      });
    failed.catch((error: unknown) => {
      log.error({ reason: messageOf(error) }, 'cannot go on');
      resolve(1);
    });
  });
}
