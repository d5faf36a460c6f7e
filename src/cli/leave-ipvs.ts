/** In iptables mode: what IPVS mode left goes, once nothing goes through it any more. */
import type { Clock } from '../host/clock';
import type { Conntrack } from '../host/conntrack';
import type { Family } from '../model/address';
import type { Logger } from '../telemetry/log';
import { removeIpvs, retireIpvs } from './ipvs-machine';

const pauseMs = 5000;

export interface LeaveOptions {
  readonly families: readonly Family[];
  /** Milliseconds; Infinity: until the last connection has ended. */
  readonly limitMs: number;
  readonly conntrack: Conntrack;
  readonly clock: Clock;
  readonly log: Logger;
}

/** When the rules of iptables mode are in force. Never rejects; with the signal aborted, whoever comes next goes on. */
export async function leaveIpvs(
  { families, limitMs, conntrack, clock, log }: LeaveOptions,
  signal: AbortSignal,
): Promise<void> {
  const sinceMs = clock.now();
  try {
    for (let told = false; ; told = true) {
      const connections = await retireIpvs(families, conntrack);
      if (connections === 0 || clock.now() - sinceMs >= limitMs) break;
      if (!told)
        log.info({ connections }, 'connections that began in IPVS mode go on through its servers until they end');
      await clock.sleep(pauseMs, signal);
      if (signal.aborted) return;
    }
    const removed = await removeIpvs(families);
    if (removed.servers + removed.sets + removed.addresses > 0) log.info(removed, 'removed what IPVS mode had left');
  } catch (error) {
    log.warn({ reason: (error as Error).message }, 'what IPVS mode had left stays');
  }
}
