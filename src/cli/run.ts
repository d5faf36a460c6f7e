/** The daemon, and its dry run. */
import { Agent } from '../agent';
import { AgentTelemetry } from '../agent-telemetry';
import type { Backend } from '../backends/backend';
import { IptablesBackend } from '../backends/iptables/backend';
import type { ProxyConfiguration } from '../config/configuration';
import { type EffectiveConfiguration, effectiveConfiguration } from '../config/effective';
import { chooseNodeName } from '../config/node-name';
import { systemClock } from '../host/clock';
import { runCommand } from '../host/command';
import { Conntrack } from '../host/conntrack';
import { readTextFile } from '../host/files';
import { hostName } from '../host/host-name';
import { NfGeneration } from '../host/nf-generation';
import { PacketCounters } from '../host/packet-counters';
import { readProcessUsage } from '../host/process-usage';
import type { Machine } from '../machine-loops';
import { type Family, families } from '../model/address';
import { UserError } from '../model/user-error';
import { ProxyHealth } from '../servers/proxy-health';
import { ServiceHealthServers } from '../servers/service-health-servers';
import { type ClusterEvent, EventRecorder } from '../sources/kubernetes/event-recorder';
import { KubernetesSource } from '../sources/kubernetes/source';
import { ManifestSource } from '../sources/manifests/manifest-source';
import type { Source } from '../sources/source';
import type { Logger } from '../telemetry/log';
import { createLogger } from '../telemetry/logger';
import { ProxyMetrics } from '../telemetry/metrics';
import { StatusBoard } from '../telemetry/status-board';
import { DriftWatch } from '../xtables/drift';
import type { IptablesDriver } from '../xtables/driver';
import { noRules } from '../xtables/parse-save';
import type { KernelTables } from '../xtables/rules';
import { type RunInvocation, version } from './command-line';
import { localSettings, probedSettings, readCounters, withCounters } from './iptables-settings';
import { setUpKernel } from './kernel-settings';
import { observe } from './observe';
import { openServers, type Told } from './open-servers';
import { openKubernetes } from './source';
import { dryIpvsBackend, openIpvs, readsOfMachine, removeIpvs } from './ipvs-machine';
import { openTables } from './tables';

const fullCheckMs = 30_000;
/** Longer than a predecessor's write is waited for. */
const startLimitMs = 150_000;
/** Of the time at the most, in the long run, for reading what CNIs may have changed. */
const readShare = 0.1;

/** What a process that ends has to tell why. */
const eventGraceMs = 2000;

/** 0 when told to stop, 1 where it could not go on. */
export async function run(invocation: RunInvocation): Promise<number> {
  const effective = await effectiveConfiguration(invocation.flags, readTextFile);
  const { configuration, warnings } = effective;
  const log = createLogger(configuration.logging);
  for (const warning of warnings) log.warn(warning);
  const nodeName = chooseNodeName(configuration.hostnameOverride, hostName());
  log.info({ version, node: nodeName, mode: configuration.mode }, 'vipwire starts');

  const metrics = new ProxyMetrics(version, configuration.mode, readProcessUsage);
  const board = new StatusBoard();
  const source = await openSource(invocation, configuration, nodeName, log, { metrics, board });
  return invocation.dryRun
    ? dryRun(invocation, configuration, nodeName, source, log, metrics)
    : serve(invocation, effective, nodeName, source, log, { metrics, board });
}

async function openSource(
  { manifests, watch }: RunInvocation,
  configuration: ProxyConfiguration,
  nodeName: string,
  log: Logger,
  { metrics, board }: Pick<Told, 'metrics' | 'board'>,
): Promise<Source> {
  if (manifests.length > 0) return ManifestSource.open({ paths: manifests, watch });
  return openKubernetes(configuration, nodeName, log, observe(metrics, board));
}

async function serve(
  invocation: RunInvocation,
  effective: EffectiveConfiguration,
  nodeName: string,
  source: Source,
  log: Logger,
  { metrics, board }: Pick<Told, 'metrics' | 'board'>,
): Promise<number> {
  const { manifests, flagTexts } = invocation;
  const { configuration } = effective;
  const clock = systemClock;
  const health = new ProxyHealth(2 * configuration.syncPeriodMs);
  // Manifests need not have a Node, and this one stays.
  if (manifests.length > 0) health.setNode({ leaving: false });
  const events =
    source instanceof KubernetesSource ? new EventRecorder(source.client, nodeName, clock, log) : undefined;
  const record = (event: ClusterEvent): void => events?.record(event);
  const servers = openServers(effective, flagTexts, { health, metrics, board, record }, log);
  try {
    await Promise.all(servers.map((server) => server.start()));
  } catch (error) {
    await events?.stop(eventGraceMs);
    await Promise.all([source.stop(), ...servers.map((server) => server.stop())]);
    throw error;
  }
  const note = `vipwire ${version} in mode ${configuration.mode}`;
  record({ type: 'Normal', reason: 'Starting', action: 'StartKubeProxy', note });
  const telemetry = new AgentTelemetry({
    backendName: configuration.mode,
    metrics,
    log,
    clock,
    health,
    board,
    openServiceHealth: (family, addresses) =>
      new ServiceHealthServers({
        family,
        addresses,
        isProxyHealthy: () => health.health(clock.now()).healthy,
        onFailure: (service, note) =>
          record({ type: 'Warning', reason: 'FailedToStartServiceHealthcheck', action: 'Listen', note, service }),
        log,
      }),
  });
  const conntrack = new Conntrack(runCommand);
  const needsNoNode = manifests.length > 0;
  const agent = new Agent({ configuration, nodeName, source, clock, log, telemetry, conntrack, needsNoNode });
  board.waitingFor = () => agent.waitingFor();
  let code: number;
  const told = untilToldToStop(agent.failed, log);
  try {
    // Told to stop before it has begun, it does not wait for the machine.
    const open = (): Promise<Machine> => openMachine(invocation, configuration, health, metrics, log);
    await Promise.race([agent.start(() => withinStartLimit(open())), told]);
    code = await told;
  } finally {
    await events?.stop();
    await agent.stop();
    await Promise.all([telemetry.stop(), ...servers.map((server) => server.stop())]);
  }
  log.info('stopped; the rules stay in force');
  return code;
}

/** What a predecessor in IPVS mode left, once our rules are in force and its own are gone. */
async function leaveIpvs(present: readonly Family[], log: Logger): Promise<void> {
  try {
    const removed = await removeIpvs(present);
    if (removed.servers + removed.sets + removed.addresses > 0) log.info(removed, 'removed what IPVS mode had left');
  } catch (error) {
    log.warn({ reason: (error as Error).message }, 'what IPVS mode had left stays');
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

async function openMachine(
  { iptablesVariant, drainLimitMs }: RunInvocation,
  configuration: ProxyConfiguration,
  health: ProxyHealth,
  metrics: ProxyMetrics,
  log: Logger,
): Promise<Machine> {
  if (configuration.mode === 'ipvs') {
    const { drivers, backends } = await openIpvs(iptablesVariant, configuration, drainLimitMs, log);
    await setUpKernel(configuration, log);
    const drift = await watchDrift(drivers, configuration.syncPeriodMs, true, log);
    for (const family of drivers.keys()) health.updated(family, systemClock.now());
    return { backends: backends((tables) => drift.watched(tables)), drift };
  }
  const drivers = await openTables(iptablesVariant, log, 'writing');
  // First: the rules depend on conntrack.tcpBeLiberal.
  await setUpKernel(configuration, log);
  const drift = await watchDrift(drivers, fullCheckMs, false, log);
  const counters = new PacketCounters();
  metrics.packetCounts = () => readCounters(counters);
  const backends = new Map<Family, IptablesBackend>();
  for (const [family, driver] of drivers) {
    const settings = await probedSettings(driver, configuration, counters, log);
    const tables = settings.hasNfacct ? withCounters(driver, counters) : driver;
    backends.set(family, new IptablesBackend(family, settings, drift.watched(tables)));
    health.updated(family, systemClock.now());
  }
  return { backends, drift, afterwards: () => leaveIpvs([...drivers.keys()], log) };
}

async function watchDrift(
  drivers: ReadonlyMap<Family, IptablesDriver>,
  fullCheckMs: number,
  hasMore: boolean,
  log: Logger,
): Promise<DriftWatch> {
  const generation = await openGeneration(drivers, log);
  return new DriftWatch({
    clock: systemClock,
    ...(generation && { readGeneration: () => generation.readGeneration() }),
    canariesStand: async () =>
      (await Promise.all([...drivers.values()].map((driver) => driver.canariesStand()))).every(Boolean),
    fullCheckMs,
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

/** Batches on standard output. Where there is nothing to follow, it ends with the first. */
async function dryRun(
  { iptablesVariant, manifests, watch }: RunInvocation,
  configuration: ProxyConfiguration,
  nodeName: string,
  source: Source,
  log: Logger,
  metrics: ProxyMetrics,
): Promise<number> {
  const clock = systemClock;
  const tables = await openForReading(iptablesVariant, log);
  const backends = await openDryBackends(configuration, tables, log);
  const health = new ProxyHealth(2 * configuration.syncPeriodMs);
  let waitingFor = backends.size;
  let seenAll: (() => void) | undefined;
  const once = new Promise<void>((resolve) => (seenAll = resolve));
  const telemetry = new AgentTelemetry({
    backendName: configuration.mode,
    metrics,
    log,
    clock,
    health,
    dryRun: true,
    openServiceHealth: undefined,
    onSynced: () => {
      waitingFor--;
      if (waitingFor === 0) seenAll?.();
    },
  });
  const showBatch = (family: Family, text: string): void => {
    const tool = family === 'IPv4' ? 'iptables-restore' : 'ip6tables-restore';
    // In IPVS mode there are several tools, and the text says which.
    const what = configuration.mode === 'ipvs' ? family : `${tool} --noflush`;
    process.stdout.write(`# ${new Date().toISOString()} ${what}\n${text}`);
  };
  const needsNoNode = manifests.length > 0;
  const agent = new Agent({ configuration, nodeName, source, clock, log, telemetry, showBatch, needsNoNode });
  await agent.start(() => Promise.resolve({ backends }));
  const follows = manifests.length === 0 || watch;
  const code = await Promise.race([untilToldToStop(agent.failed, log), ...(follows ? [] : [once.then(() => 0)])]);
  await agent.stop();
  return code;
}

async function openDryBackends(
  configuration: ProxyConfiguration,
  tables: ReadonlyMap<Family, KernelTables>,
  log: Logger,
): Promise<Machine['backends']> {
  const counters = new PacketCounters();
  const settings = await localSettings(configuration, counters);
  counters.close();
  const backends = new Map<Family, Backend<unknown>>();
  for (const [family, readable] of tables)
    backends.set(
      family,
      configuration.mode === 'ipvs'
        ? dryIpvsBackend(family, configuration, readable, readsOfMachine(family, log))
        : new IptablesBackend(family, settings, readable),
    );
  return backends;
}

/** The kernel's tables where they may be read, else none. */
async function openForReading(
  wanted: RunInvocation['iptablesVariant'],
  log: Logger,
): Promise<ReadonlyMap<Family, KernelTables>> {
  try {
    return await openTables(wanted, log, 'reading');
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    log.warn({ reason: error.message }, "this machine's rules cannot be read: compared with none");
    const none: KernelTables = {
      variant: wanted === 'legacy' ? 'legacy' : 'nft',
      save: () => Promise.resolve(noRules()),
      restore: () => Promise.reject(new Error('a dry run writes nothing')),
      canariesStand: () => Promise.resolve(true),
    };
    return new Map(families.map((family) => [family, none]));
  }
}

/** The exit code: 0 for SIGTERM and SIGINT, 1 where the agent gave up. */
function untilToldToStop(failed: Promise<never>, log: Logger): Promise<number> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      process.once(signal, () => {
        log.info({ signal }, 'stopping');
        resolve(0);
      });
    failed.catch((error: unknown) => {
      log.error({ reason: (error as Error).message }, 'cannot go on');
      resolve(1);
    });
  });
}
