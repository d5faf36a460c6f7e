/** `vipwire run --dry-run`: prints every batch that the daemon would write, and writes nothing. */
import { Agent } from '../daemon/agent';
import { AgentTelemetry } from '../daemon/agent-telemetry';
import type { DaemonOptions } from '../daemon/daemon';
import { systemClock } from '../host/clock';
import type { Assumption, OnAssumed } from '../machine/assumption';
import { openTables } from '../machine/tables';
import { type Family, families } from '../model/address';
import { absent } from '../model/answer';
import { UserError } from '../model/user-error';
import { modes } from '../modes/modes';
import { ProxyHealth } from '../servers/proxy-health';
import type { Logger } from '../telemetry/log';
import type { KernelTables } from '../xtables/kernel-tables';
import { noRules } from '../xtables/parse-save';
import type { RunInvocation } from './invocation';
import { untilToldToStop } from './stop-signals';

interface DryRunParts extends Pick<DaemonOptions, 'effective' | 'nodeName' | 'source' | 'log' | 'metrics'> {
  /** Resolves at a stop signal. */
  readonly stopped: Promise<void>;
}

/** Prints the batches on standard output. Where there is nothing to follow, it ends after the first batch of each family. */
export async function dryRun(
  { iptablesVariant, manifests, watch }: RunInvocation,
  { effective: { configuration }, nodeName, source, log, metrics, stopped }: DryRunParts,
): Promise<number> {
  const clock = systemClock;
  const assumptions = new Assumptions(log);
  const tables = await openForReading(iptablesVariant, log, assumptions.add);
  const mode = modes[configuration.mode];
  const backends = await mode.dryBackends(configuration, tables, assumptions.add);
  const health = new ProxyHealth(() => 2 * configuration.syncPeriodMs);
  let waitingFor = backends.size;
  let seenAll: (() => void) | undefined;
  const once = new Promise<void>((resolve) => (seenAll = resolve));
  const onSynced = (): void => {
    waitingFor--;
    if (waitingFor === 0) seenAll?.();
  };
  const options = { mode, metrics, log, clock, health, dryRun: true, openServiceHealth: undefined, onSynced };
  const telemetry = new AgentTelemetry(options);
  const showBatch = (family: Family, text: string): void => {
    const title = `# ${new Date().toISOString()} ${mode.batchTitle(family)}\n`;
    process.stdout.write(`${assumptions.takeNotes()}${title}${text}`);
  };
  const needsNoNode = manifests.length > 0;
  const agent = new Agent({ configuration, nodeName, source, clock, log, telemetry, showBatch, needsNoNode });
  await agent.start(() => Promise.resolve({ backends }));
  const follows = manifests.length === 0 || watch;
  const code = await Promise.race([
    untilToldToStop(stopped, agent.failed, log),
    ...(follows ? [] : [once.then(() => 0)]),
  ]);
  await agent.stop();
  return code;
}

/** What the dry run could not find out. The log says it each time, and standard output once, before the batches that depend on it. */
class Assumptions {
  readonly #log: Logger;
  readonly #said = new Set<string>();
  #notes = '';

  constructor(log: Logger) {
    this.#log = log;
  }

  readonly add = ({ family, what, reason }: Assumption): void => {
    this.#log.warn({ ...(family && { family }), reason }, what);
    const text = family === undefined ? what : `${family}: ${what}`;
    if (this.#said.has(text)) return;
    this.#said.add(text);
    this.#notes += `# note: ${text}\n`;
  };

  /** The notes that are not printed yet. They are comments to iptables-restore. */
  takeNotes(): string {
    const notes = this.#notes;
    this.#notes = '';
    return notes;
  }
}

/** The kernel's tables where they can be read, else empty ones. */
async function openForReading(
  wanted: RunInvocation['iptablesVariant'],
  log: Logger,
  assume: OnAssumed,
): Promise<ReadonlyMap<Family, KernelTables>> {
  try {
    const { drivers, unread } = await openTables(wanted, log);
    for (const [family, { reason }] of unread)
      assume({ family, what: 'the rules cannot be read: this family is left out', reason });
    return drivers;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const what = "this machine's rules cannot be read: compared with none, so what is there already is printed too";
    assume({ what, reason: error.message });
    const none: KernelTables = {
      variant: wanted === 'legacy' ? 'legacy' : 'nft',
      save: () => Promise.resolve(noRules()),
      restore: () => Promise.reject(new Error('a dry run writes nothing')),
      canariesStand: () => Promise.resolve(absent),
    };
    return new Map(families.map((family) => [family, none]));
  }
}
