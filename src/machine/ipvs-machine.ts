/** The parts of this machine that IPVS mode writes to. */
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
import { families as allFamilies, type Family } from '../model/address';
import type { FlowFilter } from '../model/flow';
import type { Logger } from '../telemetry/log';
import type { KernelTables } from '../xtables/kernel-tables';
import { messageOf } from '../model/error-message';

/** What lives until the machine is closed. */
export interface Closable {
  close(): void;
}

/**
 * Removes everything of IPVS mode but its rules, which must be gone by then: they match the sets. Nothing is loaded into the
 * kernel for it. Throws where a part cannot be removed.
 */
export async function removeIpvs(
  families: readonly Family[],
): Promise<{ readonly servers: number; readonly sets: number; readonly addresses: number }> {
  const run = runCommand;
  const device = new IpvsDevice(run);
  try {
    const hasIpvs = await isIpvsLoaded();
    const own = await readNodeAddresses(run);
    let servers = 0;
    let addresses = 0;
    for (const family of families) {
      addresses += (await device.readAddresses(family)).length;
      if (!hasIpvs) continue;
      const driver = await openServers(family, run);
      const sets = new SetDriver(family, run, (file, args) => ({ file, args }));
      servers += await deleteOurServers(family, kernelOf(family, driver, sets, device), own);
      driver.close();
    }
    await device.delete();
    const { destroyed, inUse } = await destroyAllSets(run);
    if (inUse.length > 0) throw new Error(`rules of others match ${inUse.join(', ')}`);
    return { servers, sets: destroyed.length, addresses };
  } finally {
    device.close();
  }
}

/** Without loading it: the module and the sysctls of this network namespace come together. Throws where it cannot be told. */
async function isIpvsLoaded(): Promise<boolean> {
  const conntrack = await askSysctl('net/ipv4/vs/conntrack');
  if (conntrack.kind === 'unknown') throw new Error(`cannot tell whether IPVS is loaded: ${conntrack.reason}`);
  return conntrack.kind === 'found';
}

/** Without the tool there may be none to destroy all the same. Throws where sets stay, and where it cannot be told. */
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

/** What has connections stays for them, and takes no new ones; the rest goes. Returns the connections that are left. */
export async function retireIpvs(families: readonly Family[], conntrack: Conntrack): Promise<number> {
  if (!(await isIpvsLoaded())) return 0;
  const run = runCommand;
  const device = new IpvsDevice(run);
  const own = await readNodeAddresses(run);
  let left = 0;
  try {
    for (const family of families) {
      const driver = await openServers(family, run);
      const sets = new SetDriver(family, run, (file, args) => ({ file, args }));
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

/** What a dry run reads beside the tables. */
export type IpvsReads = Pick<IpvsKernel, 'readServers' | 'readSets' | 'readAddresses'>;

const readsNothing: IpvsReads = {
  readServers: () => Promise.resolve({ servers: new Map(), resting: [] }),
  readSets: () => Promise.resolve({ sets: new Map(), elements: new Map() }),
  readAddresses: () => Promise.resolve([]),
};

/** Of this machine, or nothing after a warning. Loads nothing into the kernel. */
export function readsOfMachine(family: Family, log: Logger): IpvsReads {
  const orNothing = async <T>(
    what: string,
    module: string,
    read: () => Promise<T>,
    none: () => Promise<T>,
  ): Promise<T> => {
    try {
      const loaded = await askModule(module);
      if (loaded.kind === 'unknown') throw new Error(loaded.reason);
      return await (loaded.kind === 'found' ? read() : none());
    } catch (error) {
      log.warn({ family, reason: messageOf(error) }, `${what} cannot be read: compared with none`);
      return none();
    }
  };
  const readServers = async (): ReturnType<IpvsKernel['readServers']> => {
    const driver = await openServers(family, runCommand);
    return driver.read().finally(() => driver.close());
  };
  const sets = new SetDriver(family, runCommand, (file, args) => ({ file, args }));
  const readAddresses = async (): Promise<string[]> => {
    const device = new IpvsDevice(runCommand);
    return device.readAddresses(family).finally(() => device.close());
  };
  return {
    readServers: () => orNothing('virtual servers', 'ip_vs', readServers, readsNothing.readServers),
    readSets: () => orNothing('ipsets', 'ip_set', () => sets.read(), readsNothing.readSets),
    readAddresses: () => orNothing('kube-ipvs0', 'dummy', readAddresses, readsNothing.readAddresses),
  };
}

/** A machine that has everything, and to which nothing is written: dry runs. */
export function dryIpvsBackend(
  family: Family,
  { masqueradeBit, ipvs }: ProxyConfiguration,
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
  const settings: IpvsSettings = {
    masqueradeMark: (1 << masqueradeBit) >>> 0,
    scheduler: ipvs.scheduler,
    hasScheduler: () => true,
    hasSetMarks: true,
  };
  return new IpvsBackend(family, { settings, excludeCIDRs: ipvs.excludeCIDRs, drainLimitMs: 0, now: () => 0 }, kernel);
}
