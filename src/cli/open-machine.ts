/** The machine that a configuration asks for: its tools, its kernel's settings, and a backend a family. */
import { IptablesBackend } from '../backends/iptables/backend';
import type { ProxyConfiguration } from '../config/configuration';
import type { Clock } from '../host/clock';
import { PreparedCommands } from '../host/command';
import type { Conntrack } from '../host/conntrack';
import { NfGeneration } from '../host/nf-generation';
import { PacketCounters } from '../host/packet-counters';
import type { Machine } from '../machine-loops';
import type { Family } from '../model/address';
import { UserError } from '../model/user-error';
import type { Logger } from '../telemetry/log';
import { DriftWatch } from '../xtables/drift';
import type { IptablesDriver } from '../xtables/driver';
import type { RunInvocation } from './command-line';
import { probedSettings, readCounters, withCounters } from './iptables-settings';
import { type Closable, openIpvs } from './ipvs-machine';
import { setUpKernel } from './kernel-settings';
import { leaveIpvs } from './leave-ipvs';
import { leaveOtherVariant } from './leave-other-variant';
import type { Told } from './open-servers';
import { openTablesBy } from './tables';
import { askCanaries, canaryQuestion, tellAnswer, tellingUnread } from './told-tables';

const fullCheckMs = 30_000;
/** Longer than a predecessor's write is waited for. */
const startLimitMs = 150_000;
/** Of the time at the most, in the long run, for reading what CNIs may have changed. */
const readShare = 0.1;

export interface MachineOptions extends Pick<RunInvocation, 'iptablesVariant' | 'drainLimitMs'> {
  readonly configuration: ProxyConfiguration;
  readonly told: Pick<Told, 'health' | 'metrics' | 'questions'>;
  readonly conntrack: Conntrack;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Throws UserError where the machine lacks what no Service works without, and where it does not answer. */
export async function openMachine(options: MachineOptions): Promise<Machine> {
  const opened: Closable[] = [];
  const close = (): void => {
    for (const each of opened) each.close();
  };
  const open = options.configuration.mode === 'ipvs' ? openIpvsMachine : openIptablesMachine;
  try {
    return { ...(await withinStartLimit(open(options, opened))), close };
  } catch (error) {
    close();
    throw error;
  }
}

/** A tool that never answers must not leave a node without rules for ever: whoever supervises starts anew. */
async function withinStartLimit<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    const message = `the tools of this machine did not answer within ${startLimitMs / 1000} s`;
    timer = setTimeout(() => reject(new UserError(message)), startLimitMs);
  });
  return Promise.race([work, limit]).finally(() => clearTimeout(timer));
}

async function openIpvsMachine(options: MachineOptions, opened: Closable[]): Promise<Machine> {
  const { iptablesVariant, drainLimitMs, configuration, told, clock, log } = options;
  const { drivers, backends } = await openIpvs(iptablesVariant, configuration, drainLimitMs, log, opened);
  await setUpKernel(configuration, log);
  told.metrics.packetCounts = undefined;
  const drift = await watchDrift(drivers, configuration.syncPeriodMs, true, options, opened);
  for (const family of drivers.keys()) told.health.updated(family, clock.now());
  const watched: Parameters<typeof backends>[0] = (tables, family) =>
    tellingUnread(drift.watched(tables), family, told.questions);
  return { backends: backends(watched), drift, afterwards: () => leaveOtherVariant(drivers, log) };
}

async function openIptablesMachine(options: MachineOptions, opened: Closable[]): Promise<Machine> {
  const { iptablesVariant, drainLimitMs, configuration, told, conntrack, clock, log } = options;
  const prepared = new PreparedCommands();
  opened.push(prepared);
  const drivers = await openTablesBy(prepared.run, iptablesVariant, log, 'writing');
  // First: the rules depend on conntrack.tcpBeLiberal.
  await setUpKernel(configuration, log);
  const drift = await watchDrift(drivers, fullCheckMs, false, options, opened);
  const counters = new PacketCounters();
  opened.push(counters);
  told.metrics.packetCounts = () => readCounters(counters);
  const backends = new Map<Family, IptablesBackend>();
  for (const [family, driver] of drivers) {
    const settings = await probedSettings(driver, configuration, counters, log);
    const tables = settings.hasNfacct ? withCounters(driver, counters) : driver;
    backends.set(
      family,
      new IptablesBackend(family, settings, tellingUnread(drift.watched(tables), family, told.questions)),
    );
    told.health.updated(family, clock.now());
  }
  const limitMs = drainLimitMs === 0 ? Number.POSITIVE_INFINITY : drainLimitMs;
  return {
    backends,
    drift,
    afterwards: async (signal) => {
      await leaveOtherVariant(drivers, log);
      await leaveIpvs({ families: [...drivers.keys()], limitMs, conntrack, clock, log }, signal);
    },
  };
}

async function watchDrift(
  drivers: ReadonlyMap<Family, IptablesDriver>,
  checkMs: number,
  hasMore: boolean,
  { clock, log, told }: MachineOptions,
  opened: Closable[],
): Promise<DriftWatch> {
  const generation = await openGeneration(drivers, log);
  if (generation !== undefined) opened.push(generation);
  return new DriftWatch({
    clock,
    ...(generation && { readGeneration: () => generation.readGeneration() }),
    canariesStand: () => askCanaries([...drivers.values()]),
    onCanaries: (answer) => tellAnswer(told.questions, canaryQuestion, answer),
    fullCheckMs: checkMs,
    hasMore,
    readShare,
  });
}

/** undefined in the legacy variant, and where netlink is not to be had. */
async function openGeneration(
  drivers: ReadonlyMap<Family, IptablesDriver>,
  log: Logger,
): Promise<NfGeneration | undefined> {
  const [driver] = drivers.values();
  if (driver?.variant !== 'nft') return undefined;
  const generation = new NfGeneration();
  try {
    await generation.readGeneration();
    return generation;
  } catch (error) {
    log.warn(
      { reason: (error as Error).message },
      `foreign changes of single rules are seen every ${fullCheckMs / 1000} s`,
    );
    return undefined;
  }
}
