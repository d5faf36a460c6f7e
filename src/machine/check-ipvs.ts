/** What mode ipvs needs besides iptables. To find out, ip_vs is loaded, and a virtual server and a set are made and removed. */
import { findUnpreparable } from '../backends/ipvs/driver';
import { openServers } from '../backends/ipvs/servers/driver';
import type { IpvsConfiguration } from '../config/configuration';
import { CommandError, runCommand } from '../host/command';
import type { Family } from '../model/address';
import { messageOf } from '../model/error-message';
import { schedulerName } from '../model/scheduler';
import { UserError } from '../model/user-error';
import type { IptablesDriver } from '../xtables/driver';
import { checkInput } from './check-input';
import { cannotTell, fail, type Finding, ok, warn } from './finding';
import { ruleMatchingSet } from './ipvs-families';
const probe = 'VIPWIRE-PREFLIGHT';

export async function checkIpvs(
  { scheduler, strictARP }: IpvsConfiguration,
  drivers: ReadonlyMap<Family, IptablesDriver>,
): Promise<Finding[]> {
  const loaded = await checkScheduler(schedulerName(scheduler));
  const settings = loaded.level === 'ok' ? await findUnpreparable({ strictArp: strictARP }) : [];
  const unset = settings.map(({ isVital, what, advice }) =>
    isVital ? fail('kernel settings', what, advice) : warn('kernel settings', what, advice),
  );
  const input = await Promise.all([...drivers].map(([family, { variant }]) => checkInput(family, variant)));
  return [loaded, await checkSets(drivers.get('IPv4')), ...input, ...unset];
}

async function checkScheduler(name: ReturnType<typeof schedulerName>): Promise<Finding> {
  try {
    const servers = await openServers('IPv4', runCommand);
    try {
      await servers.requireScheduler(name);
    } finally {
      servers.close();
    }
    return ok('IPVS', `ip_vs with scheduler ${name}`);
  } catch (error) {
    if (!(error instanceof UserError)) return cannotTell('IPVS', messageOf(error), '');
    // `the kernel has no IPVS: load it on the node ...`
    const [what = '', todo = ''] = error.message.split(/: (.*)/s);
    return fail('IPVS', what, todo);
  }
}

async function checkSets(tables: IptablesDriver | undefined): Promise<Finding> {
  try {
    const { stdout } = await runCommand('ipset', ['--version']);
    await runCommand('ipset', ['create', probe, 'hash:ip,port']);
    try {
      const matches = await tables?.canTake({ nat: ruleMatchingSet(probe) });
      if (matches?.kind === 'absent')
        return fail('ipset', 'iptables of this kernel cannot match sets', 'modprobe xt_set');
      if (matches?.kind === 'unknown') return cannotTell('ipset', matches.reason, '');
    } finally {
      await runCommand('ipset', ['destroy', probe]);
    }
    return ok('ipset', stdout.trim().split('\n')[0] ?? '');
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    if (error.exitCode === undefined && !error.notFound) return cannotTell('ipset', error.message, '');
    const todo = error.notFound ? 'install ipset; the image has it' : 'modprobe ip_set ip_set_hash_ipport';
    return fail('ipset', error.message, todo);
  }
}
