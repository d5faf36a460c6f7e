/** The parts of this machine that IPVS mode writes to besides the tables of iptables. */
import { IpvsBackend, type IpvsKernel } from '../backends/ipvs/backend';
import { deleteOurServers } from '../backends/ipvs/cleanup';
import { IpvsDevice, readNodeAddresses } from '../backends/ipvs/device/driver';
import { openServers, type ServersDriver } from '../backends/ipvs/servers/driver';
import { destroySets, SetDriver } from '../backends/ipvs/sets/driver';
import { readSetsByNetlink } from '../backends/ipvs/sets/driver-netlink';
import { retireServers } from '../backends/ipvs/retire';
import type { IpvsSettings } from '../backends/ipvs/settings';
import type { ProxyConfiguration } from '../config/configuration';
import { CommandError, type RunCommand, runCommand } from '../host/command';
import type { Conntrack } from '../host/conntrack';
import { askModule } from '../host/kernel-modules';
import { askSysctl } from '../host/sysctl';
import { withoutLock } from '../host/lock';
import { families as allFamilies, type Family } from '../model/address';
import { type Answer, found, unknown } from '../model/answer';
import type { FlowFilter } from '../model/flow';
import type { KernelTables } from '../xtables/kernel-tables';
import type { OnAssumed } from './assumption';
import { masqueradeMarkOf } from './masquerade-mark';

/** What is opened until the machine is closed. */
export interface Closable {
  close(): void;
}

/**
 * Removes everything that IPVS mode leaves except its rules. Those must be gone already, since they match the sets. Loads nothing
 * into the kernel. Throws where a part cannot be removed.
 */
export async function removeIpvs(
  families: readonly Family[],
): Promise<{ readonly servers: number; readonly sets: number; readonly addresses: number }> {
  const device = new IpvsDevice(runCommand);
  try {
    const hasIpvs = await isIpvsLoaded();
    const own = await readNodeAddresses(runCommand);
    let servers = 0;
    let addresses = 0;
    for (const family of families) {
      addresses += (await device.readAddresses(family)).length;
      if (!hasIpvs) continue;
      const driver = await openServers(family, runCommand);
      const sets = new SetDriver(family, runCommand, withoutLock);
      servers += await deleteOurServers(family, kernelOf(family, driver, sets, device), own);
      driver.close();
    }
    await device.delete();
    const { destroyed, inUse } = await destroyAllSets(runCommand);
    if (inUse.length > 0) throw new Error(`other programs' rules match ${inUse.join(', ')}`);
    return { servers, sets: destroyed.length, addresses };
  } finally {
    device.close();
  }
}

/** Does not load it: the sysctls of this network namespace are there when the module is. Throws where that cannot be found out. */
async function isIpvsLoaded(): Promise<boolean> {
  const conntrack = await askSysctl('net/ipv4/vs/conntrack');
  if (conntrack.kind === 'unknown') throw new Error(`cannot tell whether IPVS is loaded: ${conntrack.reason}`);
  return conntrack.kind === 'found';
}

/** Where the tool fails, netlink may still say that there is no set to destroy. Throws where sets stay, and where that cannot be found out. */
async function destroyAllSets(run: RunCommand): ReturnType<typeof destroySets> {
  const none = { destroyed: [], inUse: [] };
  if ((await askModule('ip_set')).kind === 'absent') return none;
  try {
    return await destroySets(run);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    const left = await Promise.all(allFamilies.map((family) => readSetsByNetlink(family)));
    if (left.every(({ sets }) => sets.size === 0)) return none;
    throw error;
  }
}

/** Removes the servers that have no connections; the others take no new ones. Returns the number of connections that are left. */
export async function retireIpvs(families: readonly Family[], conntrack: Conntrack): Promise<number> {
  if (!(await isIpvsLoaded())) return 0;
  const device = new IpvsDevice(runCommand);
  const own = await readNodeAddresses(runCommand);
  let left = 0;
  try {
    for (const family of families) {
      const driver = await openServers(family, runCommand);
      const sets = new SetDriver(family, runCommand, withoutLock);
      const deleteUdpFlows = (filter: FlowFilter): Promise<number> => conntrack.deleteUdpFlows(family, filter);
      try {
        left += await retireServers(family, { ...kernelOf(family, driver, sets, device), deleteUdpFlows }, own);
      } finally {
        driver.close();
      }
    }
    return left;
  } finally {
    device.close();
  }
}

export function kernelOf(
  family: Family,
  servers: ServersDriver,
  sets: SetDriver,
  device: IpvsDevice,
): Omit<IpvsKernel, 'tables'> {
  return {
    readServers: () => servers.read(),
    writeServers: (writes) => servers.apply(writes),
    readDestinations: (server) => servers.readDestinations(server),
    readSets: () => sets.read(),
    restoreSets: (input) => sets.restore(input),
    readAddresses: () => device.readAddresses(family),
    bind: (addresses) => device.bind(family, addresses),
    unbind: (addresses) => device.unbind(family, addresses),
  };
}

/** What a dry run reads besides the tables. */
export type IpvsReads = Pick<IpvsKernel, 'readServers' | 'readSets' | 'readAddresses'>;

const readsNothing: IpvsReads = {
  readServers: () => Promise.resolve({ servers: new Map(), resting: [] }),
  readSets: () => Promise.resolve({ sets: new Map(), elements: new Map() }),
  readAddresses: () => Promise.resolve([]),
};

/** Reads this machine. What cannot be read is reported to `assume` and taken for empty. Loads nothing into the kernel. */
export function readsOfMachine(family: Family, assume: OnAssumed): IpvsReads {
  const orNothing = async <T>(what: string, answer: Promise<Answer<T>>, none: () => Promise<T>): Promise<T> => {
    const given = await answer;
    if (given.kind === 'found') return given.value;
    if (given.kind === 'unknown')
      assume({
        family,
        what: `${what} cannot be read: compared with none, so what is there already is printed too`,
        reason: given.reason,
      });
    return none();
  };
  const readServers = async (): ReturnType<IpvsKernel['readServers']> => {
    const driver = await openServers(family, runCommand);
    return driver.read().finally(() => driver.close());
  };
  const sets = new SetDriver(family, runCommand, withoutLock);
  const readAddresses = async (): Promise<string[]> => {
    const device = new IpvsDevice(runCommand);
    return device.readAddresses(family).finally(() => device.close());
  };
  return {
    readServers: () => orNothing('virtual servers', askOf('ip_vs', readServers), readsNothing.readServers),
    readSets: () =>
      orNothing(
        'ipsets',
        askOf('ip_set', () => sets.read()),
        readsNothing.readSets,
      ),
    readAddresses: () => orNothing('kube-ipvs0', askOf('dummy', readAddresses), readsNothing.readAddresses),
  };
}

/** What `read` reads of a kernel module, which is absent where the module is not loaded. */
async function askOf<T>(module: string, read: () => Promise<T>): Promise<Answer<T>> {
  try {
    const loaded = await askModule(module);
    return loaded.kind === 'found' ? found(await read()) : loaded;
  } catch (error) {
    return unknown(error);
  }
}

/** For dry runs: it assumes a machine that has every feature, and writes nothing. */
export function dryIpvsBackend(
  family: Family,
  configuration: ProxyConfiguration,
  tables: KernelTables,
  reads = readsNothing,
): IpvsBackend {
  const refuse = (): Promise<never> => Promise.reject(new Error('a dry run writes nothing'));
  const kernel: IpvsKernel = {
    ...reads,
    tables,
    writeServers: refuse,
    readDestinations: () => Promise.resolve([]),
    restoreSets: refuse,
    bind: refuse,
    unbind: refuse,
  };
  const { ipvs } = configuration;
  const settings: IpvsSettings = {
    masqueradeMark: masqueradeMarkOf(configuration),
    scheduler: ipvs.scheduler,
    hasScheduler: () => true,
    hasSetMarks: true,
  };
  return new IpvsBackend(family, { settings, excludeCIDRs: ipvs.excludeCIDRs, drainLimitMs: 0, now: () => 0 }, kernel);
}
