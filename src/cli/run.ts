/** The daemon, and its dry run. */
import { Agent } from '../daemon/agent';
import { AgentTelemetry } from '../daemon/agent-telemetry';
import { effectiveConfiguration } from '../config/effective';
import { chooseNodeName } from '../config/node-name';
import { systemClock } from '../host/clock';
import { readTextFile } from '../host/files';
import { hostName } from '../host/host-name';
import { readProcessUsage } from '../host/process-usage';
import { type Family, families } from '../model/address';
import { UserError } from '../model/user-error';
import { modes } from '../modes/modes';
import { ProxyHealth } from '../servers/proxy-health';
import { ManifestSource } from '../sources/manifests/manifest-source';
import type { Source } from '../sources/source';
import type { Logger } from '../telemetry/log';
import { boundedWriter } from '../telemetry/bounded-writer';
import { type AdjustableLogger, createLogger } from '../telemetry/logger';
import { ProxyMetrics } from '../telemetry/metrics';
import { OpenQuestions } from '../telemetry/open-questions';
import { StatusBoard } from '../telemetry/status-board';
import { absent } from '../model/answer';
import { noRules } from '../xtables/parse-save';
import type { KernelTables } from '../xtables/kernel-tables';
import type { RunInvocation } from './invocation';
import { version } from '../model/version';
import { Daemon, type DaemonOptions } from '../daemon/daemon';
import { endOnFaults } from '../daemon/last-resort';
import { observe } from '../daemon/observe';
import { Reload } from '../daemon/reload';
import { openKubernetes } from '../sources/open-source';
import { openTables } from '../machine/tables';
import { messageOf } from '../model/error-message';

/** 0 when told to stop, 1 where it could not go on. */
export async function run(invocation: RunInvocation): Promise<number> {
  const effective = await effectiveConfiguration(invocation.flags, readTextFile);
  const { configuration, warnings } = effective;
  const write = boundedWriter(process.stderr, (dropped) =>
    log.warn({ dropped }, 'lines of the log were dropped: nobody read them'),
  );
  const log: AdjustableLogger = createLogger(configuration.logging, write);
  endOnFaults(log);
  followHangUps(invocation.flags.configFile, log);
  for (const warning of warnings) log.warn(warning);
  const nodeName = chooseNodeName(configuration.hostnameOverride, hostName());
  log.info({ version, node: nodeName, mode: configuration.mode }, 'vipwire starts');

  const metrics = new ProxyMetrics(version, readProcessUsage);
  const questions = new OpenQuestions(log, (question) => metrics.unansweredQuestions.inc({ question }));
  const board = new StatusBoard(Date.now, questions);
  const parts = { effective, nodeName, log, metrics, board, questions };
  const source = await openSource(invocation, parts);
  return invocation.dryRun ? dryRun(invocation, { ...parts, source }) : serve(invocation, { ...parts, source });
}

/** What a daemon has besides what its command line says. */
type DaemonParts = Omit<DaemonOptions, 'needsNode' | 'iptablesVariant' | 'drainLimitMs' | 'flagTexts'>;

async function openSource(
  { manifests, watch }: RunInvocation,
  { effective, nodeName, log, metrics, board }: Omit<DaemonParts, 'source'>,
): Promise<Source> {
  if (manifests.length > 0) return ManifestSource.open({ paths: manifests, watch });
  return openKubernetes(effective.configuration, nodeName, log, observe(metrics, board));
}

async function serve(
  { flags, manifests, iptablesVariant, drainLimitMs, flagTexts }: RunInvocation,
  parts: DaemonParts,
): Promise<number> {
  const { effective, log, metrics } = parts;
  const daemon = new Daemon({
    ...parts,
    ...{ needsNode: manifests.length === 0, iptablesVariant, drainLimitMs, flagTexts },
  });
  const told = untilToldToStop(daemon.failed, log);
  const reload = new Reload({
    flags,
    effective,
    apply: (next, changed) => daemon.apply(next, changed),
    onDone: (result) => metrics.configReloads.inc({ result }),
    log,
  });
  let code: number;
  try {
    // Told to stop before it has begun, it does not wait for the machine.
    await Promise.race([daemon.start(), told]);
    if (flags.configFile !== '') {
      reload.start();
      process.on('SIGHUP', () => reload.ask());
    }
    code = await told;
  } finally {
    reload.stop();
    await daemon.stop();
  }
  log.info('stopped; the rules stay in force');
  return code;
}

/** Batches on standard output. Where there is nothing to follow, it ends with the first. */
async function dryRun(
  { iptablesVariant, manifests, watch }: RunInvocation,
  { effective: { configuration }, nodeName, source, log, metrics }: DaemonParts,
): Promise<number> {
  const clock = systemClock;
  const tables = await openForReading(iptablesVariant, log);
  const mode = modes[configuration.mode];
  const backends = await mode.dryBackends(configuration, tables, log);
  const health = new ProxyHealth(() => 2 * configuration.syncPeriodMs);
  let waitingFor = backends.size;
  let seenAll: (() => void) | undefined;
  const once = new Promise<void>((resolve) => (seenAll = resolve));
  const telemetry = new AgentTelemetry({
    mode,
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
    process.stdout.write(`# ${new Date().toISOString()} ${mode.batchTitle(family)}\n${text}`);
  };
  const needsNoNode = manifests.length > 0;
  const agent = new Agent({ configuration, nodeName, source, clock, log, telemetry, showBatch, needsNoNode });
  await agent.start(() => Promise.resolve({ backends }));
  const follows = manifests.length === 0 || watch;
  const code = await Promise.race([untilToldToStop(agent.failed, log), ...(follows ? [] : [once.then(() => 0)])]);
  await agent.stop();
  return code;
}

/** The kernel's tables where they may be read, else none. */
async function openForReading(
  wanted: RunInvocation['iptablesVariant'],
  log: Logger,
): Promise<ReadonlyMap<Family, KernelTables>> {
  try {
    const { drivers, unread } = await openTables(wanted, log, 'reading');
    for (const [family, { reason }] of unread) log.warn({ family, reason }, 'rules cannot be read: left out');
    return drivers;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    log.warn({ reason: error.message }, "this machine's rules cannot be read: compared with none");
    const none: KernelTables = {
      variant: wanted === 'legacy' ? 'legacy' : 'nft',
      save: () => Promise.resolve(noRules()),
      restore: () => Promise.reject(new Error('a dry run writes nothing')),
      canariesStand: () => Promise.resolve(absent),
    };
    return new Map(families.map((family) => [family, none]));
  }
}

/** SIGHUP ends no daemon. What is read anew at it is the configuration file, once the daemon runs. */
function followHangUps(configFile: string, log: Logger): void {
  process.on('SIGHUP', () =>
    log.info(
      { signal: 'SIGHUP' },
      configFile === ''
        ? 'no configuration file (--config) was given: nothing to read anew'
        : 'reading the configuration',
    ),
  );
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
      log.error({ reason: messageOf(error) }, 'cannot go on');
      resolve(1);
    });
  });
}
