/** The parts of this machine that IPVS mode writes to. */
import { IpvsBackend, type IpvsKernel } from '../backends/ipvs/backend';
import { deleteOurServers } from '../backends/ipvs/cleanup';
import { IpvsDevice, readNodeAddresses } from '../backends/ipvs/driver-device';
import { prepareNode, thisNode } from '../backends/ipvs/driver-node';
import { openServers, type ServersDriver } from '../backends/ipvs/driver-servers';
import { destroySets, SetDriver } from '../backends/ipvs/driver-sets';
import { setName } from '../backends/ipvs/ipset-names';
import { createLine } from '../backends/ipvs/ipset-text';
import { retireServers } from '../backends/ipvs/retire';
import type { IpvsSettings } from '../backends/ipvs/settings';
import type { ProxyConfiguration } from '../config/configuration';
import { CommandError, PreparedCommands, runCommand } from '../host/command';
import type { Conntrack } from '../host/conntrack';
import { isInKernel } from '../host/kernel-modules';
import { readSysctl } from '../host/sysctl';
import type { Machine } from '../machine-loops';
import type { Family } from '../model/address';
import type { FlowFilter } from '../model/flow';
import { schedulerName, type SchedulerName, schedulerNames } from '../model/scheduler';
import { UserError } from '../model/user-error';
import type { Logger } from '../telemetry/log';
import type { IptablesDriver } from '../xtables/driver';
import type { KernelTables } from '../xtables/rules';
import type { IptablesVariant } from './command-line';
import { openTablesBy, takeOver } from './tables';

export interface IpvsMachine {
  readonly drivers: ReadonlyMap<Family, IptablesDriver>;
  /** Given the tables of each family, which are watched by then. */
  readonly backends: (watched: (tables: KernelTables, family: Family) => KernelTables) => Machine['backends'];
}

/** What lives until the machine is closed. */
export interface Closable {
  close(): void;
}

/**
 * Throws UserError, one line that says what to do, where the machine lacks what no Service works without.
 * @param opened takes what is to be closed with the machine, also where it throws.
 */
export async function openIpvs(
  iptablesVariant: IptablesVariant,
  configuration: ProxyConfiguration,
  drainLimitMs: number,
  log: Logger,
  opened: Closable[],
): Promise<IpvsMachine> {
  const prepared = new PreparedCommands();
  opened.push(prepared);
  const { run } = prepared;
  const { ipvs } = configuration;
  // One tool, prepared for both families.
  const [drivers, setWrites] = await Promise.all([
    openTablesBy(run, iptablesVariant, log, 'writing'),
    takeOver(run, 'ipset', log),
  ]);
  const device = new IpvsDevice(run);
  opened.push(device);
  const parts = new Map<Family, { kernel: Omit<IpvsKernel, 'tables'>; settings: IpvsSettings }>();
  // Both families have the same.
  let schedulers: ReadonlySet<SchedulerName> | undefined;
  let hasSetMarks: boolean | undefined;
  for (const [family, tables] of drivers) {
    // Loads ip_vs, which has the sysctls.
    const servers = await openServers(family, run);
    opened.push(servers);
    if (parts.size === 0) await prepareNode(thisNode, { strictArp: ipvs.strictARP }, log);
    schedulers ??= await findSchedulers(servers, schedulerName(ipvs.scheduler));
    const sets = new SetDriver(family, setWrites.run, setWrites.withLock);
    hasSetMarks ??= await checkSets(family, sets, tables, log);
    const facts = { schedulers, hasSetMarks };
    await setTimeouts(servers, ipvs, log);
    parts.set(family, {
      kernel: kernelOf(family, servers, sets, device),
      settings: {
        masqueradeMark: (1 << configuration.masqueradeBit) >>> 0,
        scheduler: ipvs.scheduler,
        hasScheduler: (name) => facts.schedulers.has(name),
        hasSetMarks: facts.hasSetMarks,
      },
    });
  }
  log.info({ families: [...drivers.keys()], scheduler: ipvs.scheduler }, 'using IPVS');
  return {
    drivers,
    backends: (watched) =>
      new Map(
        [...parts].map(([family, { kernel, settings }]) => {
          const tables = drivers.get(family);
          if (tables === undefined) throw new Error(`no iptables of ${family}`);
          const options = {
            settings,
            excludeCIDRs: ipvs.excludeCIDRs,
            drainLimitMs: drainLimitMs === 0 ? Number.POSITIVE_INFINITY : drainLimitMs,
            now: () => performance.now(),
          };
          return [family, new IpvsBackend(family, options, { ...kernel, tables: watched(tables, family) })] as const;
        }),
      ),
  };
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
    const { destroyed, inUse } = await destroySets(run).catch((error: unknown) => {
      // No tool, or a kernel without sets: there are none.
      if (error instanceof CommandError) return { destroyed: [], inUse: [] };
      throw error;
    });
    if (inUse.length > 0) throw new Error(`rules of others match ${inUse.join(', ')}`);
    return { servers, sets: destroyed.length, addresses };
  } finally {
    device.close();
  }
}

/** Without loading it. */
function isIpvsLoaded(): Promise<boolean> {
  return readSysctl('net/ipv4/vs/conntrack').then(
    () => true,
    () => false,
  );
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

function kernelOf(
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

/** Throws UserError where the one that is wanted is not to be had. */
async function findSchedulers(servers: ServersDriver, wanted: SchedulerName): Promise<ReadonlySet<SchedulerName>> {
  await servers.requireScheduler(wanted);
  const found = new Set<SchedulerName>([wanted]);
  for (const name of schedulerNames) if (name !== wanted && (await servers.hasScheduler(name))) found.add(name);
  return found;
}

/** Whether sets can give marks. Throws UserError where there are no sets, or rules cannot match them. */
async function checkSets(family: Family, sets: SetDriver, tables: IptablesDriver, log: Logger): Promise<boolean> {
  const [plain, marking] = [setName(family, 'KUBE-CLUSTER-IP'), setName(family, 'KUBE-IPVS-LOCAL')];
  const matching = `-m set --match-set ${plain} dst,dst -j RETURN`;
  const giving = `-j SET --map-set ${marking} dst,dst --map-mark`;
  const canMark = await sets.restore(`${createLine(plain)}\n${createLine(marking)}\n`).then(
    () => tables.canTake({ nat: matching, mangle: giving }),
    () => false,
  );
  if (canMark) return true;
  await sets.restore(`${createLine(plain)}\n`).catch((error: unknown) => {
    throw new UserError(`IPVS mode: ${(error as Error).message}`);
  });
  if (!(await tables.canTake({ nat: matching })))
    throw new UserError('IPVS mode: the kernel has no xt_set: run `modprobe xt_set` on the node');
  log.warn(
    'sets of this kernel give no marks: under externalTrafficPolicy Local clients on this node reach what those outside do',
  );
  return false;
}

async function setTimeouts(servers: ServersDriver, ipvs: ProxyConfiguration['ipvs'], log: Logger): Promise<void> {
  const { tcpTimeoutSeconds: tcpSeconds, tcpFinTimeoutSeconds: tcpFinSeconds, udpTimeoutSeconds: udpSeconds } = ipvs;
  if (tcpSeconds + tcpFinSeconds + udpSeconds === 0) return;
  try {
    await servers.setTimeouts({ tcpSeconds, tcpFinSeconds, udpSeconds });
  } catch (error) {
    log.error({ reason: (error as Error).message }, 'the IPVS timeouts cannot be set: the present ones stay');
  }
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
      return await ((await isInKernel(module)) ? read() : none());
    } catch (error) {
      log.warn({ family, reason: (error as Error).message }, `${what} cannot be read: compared with none`);
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
