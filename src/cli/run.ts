/** `vipwire run`: the daemon. */
import { effectiveConfiguration } from '../config/effective';
import { chooseNodeName } from '../config/node-name';
import { readTextFile } from '../host/files';
import { hostName } from '../host/host-name';
import { readProcessUsage } from '../host/process-usage';
import { ManifestSource } from '../sources/manifests/manifest-source';
import type { Source } from '../sources/source';
import type { Logger } from '../telemetry/log';
import { boundedWriter } from '../telemetry/bounded-writer';
import { type AdjustableLogger, createLogger } from '../telemetry/logger';
import { ProxyMetrics } from '../telemetry/metrics';
import { OpenQuestions } from '../telemetry/open-questions';
import { StatusBoard } from '../telemetry/status-board';
import { dryRun } from './dry-run';
import type { RunInvocation } from './invocation';
import { awaitStopSignal, untilToldToStop } from './stop-signals';
import { version } from '../model/version';
import { Daemon, type DaemonOptions } from '../daemon/daemon';
import { endOnFaults } from '../daemon/last-resort';
import { observe } from '../daemon/observe';
import { Reload } from '../daemon/reload';
import { openKubernetes } from '../sources/open-source';

/** Returns 0 when it was told to stop, and 1 where it could not go on. */
export async function run(invocation: RunInvocation): Promise<number> {
  const effective = await effectiveConfiguration(invocation.flags, readTextFile);
  const { configuration, warnings } = effective;
  const write = boundedWriter(process.stderr, (dropped) =>
    log.warn({ dropped }, 'lines of the log were dropped: nobody read them'),
  );
  const log: AdjustableLogger = createLogger(configuration.logging, write);
  endOnFaults(log);
  const stopped = awaitStopSignal(log);
  followHangUps(invocation.flags.configFile, log);
  for (const warning of warnings) log.warn(warning);
  const nodeName = chooseNodeName(configuration.hostnameOverride, hostName());
  log.info({ version, node: nodeName, mode: configuration.mode }, 'vipwire starts');

  const metrics = new ProxyMetrics(version, readProcessUsage);
  const questions = new OpenQuestions(log, (question) => metrics.unansweredQuestions.inc({ question }));
  const board = new StatusBoard(Date.now, questions);
  const parts = { effective, nodeName, log, metrics, board, questions };
  const source = await openSource(invocation, parts);
  const run = invocation.dryRun ? dryRun : serve;
  return run(invocation, { ...parts, source, stopped });
}

/** What the daemon needs besides the flags that are passed on as they are. */
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
  { stopped, ...parts }: DaemonParts & { readonly stopped: Promise<void> },
): Promise<number> {
  const { effective, log, metrics } = parts;
  const daemon = new Daemon({
    ...parts,
    ...{ needsNode: manifests.length === 0, iptablesVariant, drainLimitMs, flagTexts },
  });
  const told = untilToldToStop(stopped, daemon.failed, log);
  const reload = new Reload({
    flags,
    effective,
    apply: (next, changed) => daemon.apply(next, changed),
    onDone: (result) => metrics.configReloads.inc({ result }),
    log,
  });
  let code: number;
  try {
    // If it is told to stop before the machine is open, it does not wait for that.
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

/** SIGHUP does not end the process. Once the daemon runs, it reads the configuration file again. */
function followHangUps(configFile: string, log: Logger): void {
  process.on('SIGHUP', () =>
    log.info(
      { signal: 'SIGHUP' },
      configFile === ''
        ? 'no configuration file (--config) was given: there is nothing to read again'
        : 'reading the configuration',
    ),
  );
}
