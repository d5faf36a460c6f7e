/** Runs iptables-save and iptables-restore of one variant and family. */
import { CommandError, type RunCommand } from '../host/command';
import { lockConflict } from '../host/lock';
import { WriteLimit } from '../host/write-limit';
import type { Family } from '../model/address';
import { absent, type Answer, found, unknown } from '../model/answer';
import { canaryRule, ownTables } from './known-chains';
import type { SavedTables } from './parse-save';
import type { TableName } from './rules';
import type { KernelTables } from './kernel-tables';
import { type SaveText, withTables } from './save-text';
import { TableReader } from './driver-table-reader';
import { toolName } from './tool-names';
import type { Variant } from './variant';

/** How many seconds the tools wait for /run/xtables.lock. */
export const lockSeconds = 5;
/** iptables-nft-save starts over whenever somebody writes while it reads. Beside a busy CNI it may never end by itself. */
const readLimitMs = { first: 10_000, least: 2000, most: 60_000, timesTheLast: 4 } as const;
const canaryTimeoutMs = 10_000;

/** Returns the command of a write that runs under our lock. The tool keeps the lock even when this process is killed. */
export type WithLock = (file: string, args: readonly string[]) => { file: string; args: readonly string[] };

export class IptablesDriver implements KernelTables {
  /** A test may replace its way to the kernel. */
  readonly tables: TableReader;
  #readLimitMs: number = readLimitMs.first;
  readonly #writeLimit = new WriteLimit();
  readonly #run: RunCommand;
  readonly #withLock: WithLock;

  constructor(
    readonly family: Family,
    readonly variant: Variant,
    run: RunCommand,
    withLock: WithLock,
  ) {
    this.#run = run;
    this.#withLock = withLock;
    this.tables = new TableReader(family, variant, run);
  }

  async save(): Promise<SavedTables> {
    const limitMs = this.#readLimitMs;
    const startedMs = performance.now();
    this.#readLimitMs = Math.min(readLimitMs.most, 2 * limitMs);
    const saved = await this.tables.read(limitMs);
    this.#readLimitMs = Math.max(readLimitMs.least, readLimitMs.timesTheLast * (performance.now() - startedMs));
    return saved;
  }

  async restore(input: string): Promise<void> {
    for (const part of this.tables.planWrite(input))
      if (part.kind === 'input') await this.#restoreInput(part.input);
      else await this.tables.deleteRules(part.rules);
    this.tables.noteWritten(input);
  }

  async #restoreInput(input: string): Promise<void> {
    const tool = toolName('iptables-restore', this.variant, this.family);
    const { file, args } = this.#withLock(tool, ['--noflush', '--wait', lockSeconds.toString()]);
    try {
      await this.#run(file, args, { input, timeoutMs: this.#writeLimit.ms(input) });
      this.#writeLimit.ended(false);
    } catch (error) {
      this.#writeLimit.ended(error instanceof CommandError && error.limitMs !== undefined);
      throw error instanceof CommandError ? explainLine(error, tool, input) : error;
    }
  }

  canMatch(match: string): Promise<Answer<true>> {
    return this.canTake({ nat: `${match} -j RETURN` });
  }

  /**
   * Whether the kernel takes these rules. It tries them in chains that nothing leads to, and deletes the chains at once. The answer is
   * absent only when the rules are refused, the same write without them succeeds, and they are then refused again. Other failures
   * say nothing about the kernel, and tools word them differently from version to version.
   */
  async canTake(rules: Partial<Record<TableName, string>>): Promise<Answer<true>> {
    const refused = await this.#tryRules(rules);
    if (refused === undefined) return found(true);
    const plain = Object.fromEntries(Object.keys(rules).map((table) => [table, '-j RETURN']));
    const control = await this.#tryRules(plain);
    if (control !== undefined) return unknown(control);
    const again = await this.#tryRules(rules);
    if (again === undefined) return found(true);
    return hasAnswered(refused) && hasAnswered(again) ? absent : unknown(again);
  }

  /** Returns what the tool failed with, or undefined. */
  async #tryRules(rules: Partial<Record<TableName, string>>): Promise<CommandError | undefined> {
    const chain = 'KUBE-SEP-probe';
    const input = (lineOf: (rule: string) => string): string =>
      Object.entries(rules)
        .map(([table, rule]) => `*${table}\n:${chain} - [0:0]\n${lineOf(rule)}\nCOMMIT\n`)
        .join('');
    try {
      await this.restore(input((rule) => `-A ${chain} ${rule}`));
      await this.restore(input(() => `-X ${chain}`));
      return undefined;
    } catch (error) {
      if (error instanceof CommandError) return error;
      throw error;
    }
  }

  async canariesStand(): Promise<Answer<true>> {
    const input = ownTables.map((table) => `*${table}\n-C KUBE-PROXY-CANARY ${canaryRule}\nCOMMIT\n`).join('');
    // The nft variant checks a rule only at its commit. The legacy variant would write the table back without --test.
    const args = this.variant === 'nft' ? ['--noflush'] : ['--noflush', '--test', '--wait', lockSeconds.toString()];
    try {
      await this.#run(toolName('iptables-restore', this.variant, this.family), args, {
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
 * Whether the rule or its chain is missing. Other failures say nothing about the rule: a lock that somebody else holds, a rule before
 * ours that the tool cannot read, a tool that was killed.
 */
function saysMissing({ exitCode, stderr }: CommandError): boolean {
  if (exitCode !== 1 && exitCode !== 2) return false;
  return /bad rule|line \d+ failed|does(n't| not) exist|no chain/i.test(stderr) && !/incompatible|lock/i.test(stderr);
}

/** Whether the tool ran to its end. A tool that was killed or never began tells nothing. */
function hasAnswered({ exitCode, notFound }: CommandError): boolean {
  return exitCode !== undefined && !notFound;
}

/**
 * Adds the line of the input that the tool complains about. Both variants give its number; the nft variant prints its version
 * first and the complaint in the next line.
 */
function explainLine(error: CommandError, tool: string, input: string): Error {
  const { exitCode, stderr, durationMs, notFound, limitMs } = error;
  if (exitCode === lockConflict)
    return new CommandError(tool, { exitCode, stderr: 'another vipwire process holds the write lock', durationMs });
  if (limitMs !== undefined) return new CommandError(tool, { exitCode, stderr, durationMs, limitMs });
  const at = /line:? (\d+)/i.exec(stderr)?.[1];
  const line = at === undefined ? undefined : input.split('\n')[Number(at) - 1];
  const why = stderr
    .split('\n')
    .map((text) => text.trim())
    .filter((text) => text !== '')
    .slice(0, 2)
    .join(' ');
  const told = line === undefined ? why : `${why} (${line})`;
  return new CommandError(tool, { exitCode, stderr: told, durationMs, notFound });
}

/** Returns the output of iptables-save, with what it cannot print read from nf_tables. Throws as IptablesDriver.save. */
export async function readSaveText(run: RunCommand, variant: Variant, family: Family): Promise<SaveText> {
  const lines: string[] = [];
  const saved = await new TableReader(family, variant, run).read(readLimitMs.most, (line) => lines.push(line));
  return withTables(lines.join('\n'), saved);
}
