/** iptables-save and iptables-restore, of one variant and family. */
import { CommandError, type RunCommand } from '../host/command';
import { lockConflict } from '../host/lock';
import type { Family } from '../model/address';
import { absent, type Answer, found, unknown } from '../model/answer';
import type { Logger } from '../telemetry/log';
import { canaryRule, ownTables } from './known-chains';
import type { SavedTables } from './parse-save';
import type { KernelTables, TableName } from './rules';
import { type SaveText, withTables } from './save-text';
import { TableReader } from './table-reader';
import { toolName } from './tool-names';
import { chooseVariant, parseVersion, type Variant, variants } from './variant';

/** Seconds for which the tools wait for /run/xtables.lock. */
/** After a start with a variant that was told. */
const otherVariantMs = 5000;
const lockSeconds = 5;
const lockTries = 5;
/** iptables-nft-save starts over whenever somebody writes while it reads: beside a busy CNI it may never end by itself. */
const readLimitMs = { first: 10_000, least: 2000, most: 60_000, timesTheLast: 4 } as const;
const writeTimeoutMs = 120_000;
const canaryTimeoutMs = 10_000;

/** Puts a write under the lock that it goes on holding when its process is killed. */
export type WithLock = (file: string, args: readonly string[]) => { file: string; args: readonly string[] };

export class IptablesDriver implements KernelTables {
  /** Reads the tables; a test puts another kernel in its place. */
  readonly tables: TableReader;
  private readLimitMs: number = readLimitMs.first;

  constructor(
    readonly family: Family,
    readonly variant: Variant,
    private readonly run: RunCommand,
    private readonly withLock: WithLock,
  ) {
    this.tables = new TableReader(family, variant, run);
  }

  async save(): Promise<SavedTables> {
    const limitMs = this.readLimitMs;
    const startedMs = performance.now();
    this.readLimitMs = Math.min(readLimitMs.most, 2 * limitMs);
    const saved = await this.tables.read(limitMs);
    this.readLimitMs = Math.max(readLimitMs.least, readLimitMs.timesTheLast * (performance.now() - startedMs));
    return saved;
  }

  async restore(input: string): Promise<void> {
    for (const part of this.tables.planWrite(input))
      if (part.kind === 'input') await this.restoreInput(part.input);
      else await this.tables.deleteRules(part.rules);
    this.tables.noteWritten(input);
  }

  private async restoreInput(input: string): Promise<void> {
    const tool = toolName('iptables-restore', this.variant, this.family);
    const { file, args } = this.withLock(tool, ['--noflush', '--wait', lockSeconds.toString()]);
    try {
      await this.run(file, args, { input, timeoutMs: writeTimeoutMs });
    } catch (error) {
      throw error instanceof CommandError ? explainLine(error, tool, input) : error;
    }
  }

  canMatch(match: string): Promise<boolean> {
    return this.canTake({ nat: `${match} -j RETURN` });
  }

  /** Whether the kernel takes these rules: tried in chains that nothing leads to, and that go at once. */
  async canTake(rules: Partial<Record<TableName, string>>): Promise<boolean> {
    const chain = 'KUBE-SEP-probe';
    const input = (lineOf: (rule: string) => string): string =>
      Object.entries(rules)
        .map(([table, rule]) => `*${table}\n:${chain} - [0:0]\n${lineOf(rule)}\nCOMMIT\n`)
        .join('');
    for (let tries = 1; ; tries++)
      try {
        await this.restore(input((rule) => `-A ${chain} ${rule}`));
        await this.restore(input(() => `-X ${chain}`));
        return true;
      } catch (error) {
        if (!(error instanceof CommandError)) throw error;
        // Somebody else at work says nothing about the kernel.
        if (!/xtables lock/.test(error.stderr) || tries === lockTries) return false;
      }
  }

  async canariesStand(): Promise<Answer<true>> {
    const input = ownTables.map((table) => `*${table}\n-C KUBE-PROXY-CANARY ${canaryRule}\nCOMMIT\n`).join('');
    // The nft variant looks at a rule only when it commits; the legacy one would write the table back.
    const args = this.variant === 'nft' ? ['--noflush'] : ['--noflush', '--test', '--wait', lockSeconds.toString()];
    try {
      await this.run(toolName('iptables-restore', this.variant, this.family), args, {
        input,
        timeoutMs: canaryTimeoutMs,
      });
      return found(true);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      return saysMissing(error) ? absent : unknown(error);
    }
  }
}

/**
 * The rule or its chain is not there. Any other failure says nothing about rules: a lock that was not to be had, a rule in front of ours
 * that the tool cannot read, a tool that was killed.
 */
function saysMissing({ exitCode, stderr }: CommandError): boolean {
  if (exitCode !== 1 && exitCode !== 2) return false;
  return /bad rule|line \d+ failed|does(n't| not) exist|no chain/i.test(stderr) && !/incompatible|lock/i.test(stderr);
}

/** The nft variant tells its version in one line and what is wrong in the next; either names a line of its input: show that. */
function explainLine(error: CommandError, tool: string, input: string): Error {
  if (error.exitCode === lockConflict)
    return new CommandError(tool, error.exitCode, 'another vipwire holds the lock of writes', error.durationMs, false);
  const at = /line:? (\d+)/i.exec(error.stderr)?.[1];
  const line = at === undefined ? undefined : input.split('\n')[Number(at) - 1];
  const why = error.stderr
    .split('\n')
    .map((text) => text.trim())
    .filter((text) => text !== '')
    .slice(0, 2)
    .join(' ');
  return new CommandError(
    tool,
    error.exitCode,
    line === undefined ? why : `${why} (${line})`,
    error.durationMs,
    error.notFound,
  );
}

/** What the tool prints, with what it cannot print read from nf_tables. Throws as IptablesDriver.save. */
export async function readSaveText(run: RunCommand, variant: Variant, family: Family): Promise<SaveText> {
  const lines: string[] = [];
  const saved = await new TableReader(family, variant, run).read(readLimitMs.most, (line) => lines.push(line));
  return withTables(lines.join('\n'), saved);
}

/**
 * The variant to use on this machine: the one that is wanted, else the better choice, or undefined where neither works. Warns where the
 * tables of the other one hold rules of a proxy too: they apply as well.
 */
export async function detectVariant(
  run: RunCommand,
  wanted: Variant | 'auto',
  log: Logger,
): Promise<Variant | undefined> {
  if (wanted !== 'auto') {
    // Nothing waits for it: a start has better things to do.
    const other = wanted === 'nft' ? 'legacy' : 'nft';
    const look = async (): Promise<void> => warnOfOther(wanted, await readUsable(run, other), log);
    setTimeout(() => void look().catch(() => undefined), otherVariantMs).unref();
    return wanted;
  }
  const [nft, legacy] = await Promise.all(variants.map((variant) => readUsable(run, variant)));
  const plain = await run('iptables', ['--version']).then(
    ({ stdout }) => parseVersion(stdout)?.variant,
    () => undefined,
  );
  const chosen = chooseVariant({ nft, legacy }, plain);
  if (chosen !== undefined) warnOfOther(chosen, chosen === 'nft' ? legacy : nft, log);
  return chosen;
}

function warnOfOther(chosen: Variant, other: SavedTables | undefined, log: Logger): void {
  if (other !== undefined && other.chains.nat.size > 0)
    log.warn(
      { variant: chosen, otherChains: other.chains.nat.size },
      'the other iptables variant holds rules of a service proxy too; both apply: clean one up (vipwire cleanup --iptables-variant)',
    );
}

/** undefined where the tools are missing or do not work. Asking the legacy tools for a table would load it into the kernel. */
async function readUsable(run: RunCommand, variant: Variant): Promise<SavedTables | undefined> {
  if (variant === 'nft' && !(await isFamilyUsable(run, variant, 'IPv4'))) return undefined;
  try {
    return await new TableReader('IPv4', variant, run).read(readLimitMs.most);
  } catch (error) {
    if (error instanceof CommandError) return undefined;
    throw error;
  }
}

/** Whether the family's nat table can be used: kube-proxy asks the same. */
export async function isFamilyUsable(run: RunCommand, variant: Variant, family: Family): Promise<boolean> {
  try {
    await run(toolName('iptables', variant, family), [
      '--wait',
      lockSeconds.toString(),
      '-t',
      'nat',
      '-S',
      'POSTROUTING',
    ]);
    return true;
  } catch (error) {
    // A rule that iptables cannot print: the table is there, and iptables-restore writes to it.
    if (error instanceof CommandError) return /is incompatible|parsing nftables rule failed/i.test(error.stderr);
    throw error;
  }
}
