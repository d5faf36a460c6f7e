/** Removes what IPVS mode leaves on a node. */
import type { Family } from '../model/address';
import { messageOf } from '../model/error-message';
import type { Logger } from '../telemetry/log';
import { removeIpvs, retireIpvs } from './ipvs-machine';
import type { Leftovers, LeaveOptions } from './leave';

const pauseMs = 5000;

/** For `vipwire cleanup`, once the rules are gone. Logs what it removed, and returns whether all is gone. Never rejects. */
export async function cleanUpIpvs(families: readonly Family[], log: Logger): Promise<boolean> {
  try {
    const removed = await removeIpvs(families);
    if (removed.servers + removed.sets + removed.addresses > 0) log.info(removed, 'removed of IPVS mode');
    return true;
  } catch (error) {
    log.error({ reason: messageOf(error) }, 'cannot clean up IPVS');
    return false;
  }
}

/** For another mode, once its rules are in force. It waits for the connections that still go through the servers. */
export function leftOfIpvs({ families, limitMs, conntrack, clock, log }: LeaveOptions): Leftovers {
  const sinceMs = clock.now();
  let isTold = false;
  const look = async (): Promise<boolean> => {
    const connections = await retireIpvs(families, conntrack);
    if (connections > 0 && clock.now() - sinceMs < limitMs) {
      if (!isTold) log.info({ connections }, 'connections that began in IPVS mode stay on its servers until they end');
      isTold = true;
      return false;
    }
    const removed = await removeIpvs(families);
    if (removed.servers + removed.sets + removed.addresses > 0) log.info(removed, 'removed what IPVS mode had left');
    return true;
  };
  return { question: 'what IPVS mode has left', pauseMs, look };
}
