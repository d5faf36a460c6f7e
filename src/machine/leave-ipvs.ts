/** In other modes: what IPVS mode left goes, once nothing goes through it any more. */
import { removeIpvs, retireIpvs } from './ipvs-machine';
import { leave, type LeaveOptions } from './leave';

const pauseMs = 5000;

/** When the rules of another mode are in force. Never rejects. */
export async function leaveIpvs(options: LeaveOptions, signal: AbortSignal): Promise<void> {
  const { families, limitMs, conntrack, clock, log } = options;
  const sinceMs = clock.now();
  let isTold = false;
  const look = async (): Promise<boolean> => {
    const connections = await retireIpvs(families, conntrack);
    if (connections > 0 && clock.now() - sinceMs < limitMs) {
      if (!isTold)
        log.info({ connections }, 'connections that began in IPVS mode go on through its servers until they end');
      isTold = true;
      return false;
    }
    const removed = await removeIpvs(families);
    if (removed.servers + removed.sets + removed.addresses > 0) log.info(removed, 'removed what IPVS mode had left');
    return true;
  };
  await leave({ question: 'what IPVS mode has left', pauseMs, look }, options, signal);
}
