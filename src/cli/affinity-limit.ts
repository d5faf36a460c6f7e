/** How many clients xt_recent remembers for an endpoint. */
import { readSysctl } from '../host/sysctl';
import type { Logger } from '../telemetry/log';

/** The kernel's own default: the next client takes the place of the oldest. */
const defaultLimit = 100;

/** What to do about a limit that is too low. */
export const raiseAffinityLimit =
  '`options xt_recent ip_list_tot=10000` in /etc/modprobe.d, before the module is loaded';

/** And whether that is few: nobody raised it. */
export async function readAffinityLimit(): Promise<{ readonly clients: number; readonly isLow: boolean }> {
  const text = await readSysctl('/sys/module/xt_recent/parameters/ip_list_tot').catch(() => String(defaultLimit));
  return { clients: Number(text), isLow: Number(text) <= defaultLimit };
}

/** For iptables mode, where a Service wants session affinity. */
export async function warnOfAffinityLimit(log: Logger): Promise<void> {
  const { clients, isLow } = await readAffinityLimit();
  if (isLow)
    log.warn(
      { clients },
      `session affinity: the kernel forgets an endpoint's oldest clients; more: ${raiseAffinityLimit}`,
    );
}
