/** For faults that nothing else handles: the process logs them and ends, and its supervisor starts another one. */
import type { Logger } from '../telemetry/log';

const events = ['uncaughtException', 'unhandledRejection'] as const;

/** From now on faults are logged here. */
export function endOnFaults(log: Logger): void {
  for (const event of events) {
    process.removeAllListeners(event);
    process.on(event, (fault: unknown) => {
      try {
        const text = fault instanceof Error ? (fault.stack ?? fault.message) : String(fault);
        log.error({ fault: text }, 'vipwire ends: this is a fault of its own');
      } finally {
        process.exit(1);
      }
    });
  }
}
