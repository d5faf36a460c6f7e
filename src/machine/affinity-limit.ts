/** How many clients xt_recent remembers per endpoint. */
import { askSysctl } from '../host/sysctl';
import { type Answer, found } from '../model/answer';
import type { Logger } from '../telemetry/log';

/** The kernel's own default. Above the limit, a new client replaces the oldest one. */
const defaultLimit = 100;

/** How to raise a limit that is too low. */
export const raiseAffinityLimit =
  '`options xt_recent ip_list_tot=10000` in /etc/modprobe.d, before the module is loaded';

/** The limit is low where nobody has raised it. A module that is not loaded yet will have the default. */
export async function askAffinityLimit(): Promise<Answer<{ readonly clients: number; readonly isLow: boolean }>> {
  const limit = await askSysctl('/sys/module/xt_recent/parameters/ip_list_tot');
  if (limit.kind === 'unknown') return limit;
  const clients = limit.kind === 'found' ? Number(limit.value) : defaultLimit;
  return found({ clients, isLow: clients <= defaultLimit });
}

/** For iptables mode, where a Service wants session affinity. */
export async function warnOfAffinityLimit(log: Logger): Promise<void> {
  const limit = await askAffinityLimit();
  if (limit.kind === 'unknown')
    log.warn(
      { reason: limit.reason },
      'session affinity: cannot tell how many clients the kernel remembers per endpoint',
    );
  else if (limit.kind === 'found' && limit.value.isLow)
    log.warn(
      { clients: limit.value.clients },
      `session affinity: the kernel remembers few clients per endpoint and forgets the oldest; to raise that: ${raiseAffinityLimit}`,
    );
}
