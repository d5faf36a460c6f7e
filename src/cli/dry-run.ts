/** `vipwire run --dry-run`: prints every batch that the daemon would write, and writes nothing. */
import { Agent } from '../daemon/agent';
import { AgentTelemetry } from '../daemon/agent-telemetry';
import type { DaemonOptions } from '../daemon/daemon';
import { systemClock } from '../host/clock';
import type { Assumption } from '../machine/assumption';
import type { Family } from '../model/address';
import { modes } from '../modes/modes';
import { ProxyHealth } from '../servers/proxy-health';
import type { Logger } from '../telemetry/log';
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
  const mode = modes[configuration.mode];
  const backends = await mode.dryBackends({ configuration, iptablesVariant, log, assume: assumptions.add });
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

  /** The notes that are not printed yet. They are comments to iptables-restore and to nft. */
  takeNotes(): string {
    const notes = this.#notes;
    this.#notes = '';
    return notes;
  }
}
