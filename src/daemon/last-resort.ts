/** What nothing else took care of: the process says it and ends, and whoever supervises it starts another. */
import type { Logger } from '../telemetry/log';

const events = ['uncaughtException', 'unhandledRejection'] as const;

/** From now on it is said in this log. */
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
