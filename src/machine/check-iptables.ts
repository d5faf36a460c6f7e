/** What preflight asks of the machine for iptables mode alone. */
import type { Service } from '../model/cluster';
import type { IptablesDriver } from '../xtables/driver';
import { askAffinityLimit, raiseAffinityLimit } from './affinity-limit';
import { cannotTell, type Finding, ok, warn } from './finding';
import { askProbes, describeLoss, probes } from './iptables-probes';

/** Tries the matches of one family, without the packet counters: preflight makes none. */
export async function checkMatches(driver: IptablesDriver): Promise<Finding[]> {
  const asked = probes.filter(({ setting }) => setting !== 'hasNfacct');
  return [...(await askProbes(driver, asked))].flatMap(([probe, answer]) => {
    if (answer.kind === 'found') return [];
    if (answer.kind === 'unknown') return cannotTell('iptables', `${probe.module}: ${answer.reason}`, '');
    const loss = describeLoss(probe);
    return probe.level === 'warn' ? warn('iptables', loss, `modprobe ${probe.module}`) : ok('iptables', loss);
  });
}

/** Whether the kernel remembers enough clients, where a Service wants session affinity. */
export async function checkAffinity(services: readonly Service[]): Promise<Finding[]> {
  const count = services.filter(({ affinitySeconds }) => affinitySeconds > 0).length;
  if (count === 0) return [];
  const limit = await askAffinityLimit();
  if (limit.kind !== 'found') return [cannotTell('session affinity', limit.kind === 'unknown' ? limit.reason : '', '')];
  const { clients, isLow } = limit.value;
  const what = `${count} Services; ${clients} clients per endpoint are remembered`;
  if (!isLow) return [ok('session affinity', what)];
  return [
    warn('session affinity', `${what}, and the next one replaces the oldest`, `to raise that: ${raiseAffinityLimit}`),
  ];
}
