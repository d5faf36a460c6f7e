/** iptables-save and iptables-restore, of one variant and family. */
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

/** Seconds for which the tools wait for /run/xtables.lock. */
export const lockSeconds = 5;
/** iptables-nft-save starts over whenever somebody writes while it reads: beside a busy CNI it may never end by itself. */
const readLimitMs = { first: 10_000, least: 2000, most: 60_000, timesTheLast: 4 } as const;
const canaryTimeoutMs = 10_000;

/** Puts a write under the lock that it goes on holding when its process is killed. */
export type WithLock = (file: string, args: readonly string[]) => { file: string; args: readonly string[] };

export class IptablesDriver implements KernelTables {
  /** Reads the tables; a test puts another kernel in its place. */
  readonly tables: TableReader;
  private readLimitMs: number = readLimitMs.first;
  private readonly writeLimit = new WriteLimit();

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
      await this.run(file, args, { input, timeoutMs: this.writeLimit.ms(input) });
      this.writeLimit.ended(false);
    } catch (error) {
      this.writeLimit.ended(error instanceof CommandError && error.limitMs !== undefined);
      throw error instanceof CommandError ? explainLine(error, tool, input) : error;
    }
  }

  canMatch(match: string): Promise<Answer<true>> {
    return this.canTake({ nat: `${match} -j RETURN` });
  }

  /**
   * Whether the kernel takes these rules: tried in chains that nothing leads to, and that go at once. A refusal counts only where
   * the same write goes through without the rules, before and after which they are refused: whatever else a tool says, in
   * whichever words of its version, says nothing about the kernel.
   */
  async canTake(rules: Partial<Record<TableName, string>>): Promise<Answer<true>> {
    const refused = await this.tryRules(rules);
    if (refused === undefined) return found(true);
    const plain = Object.fromEntries(Object.keys(rules).map((table) => [table, '-j RETURN']));
    const control = await this.tryRules(plain);
    if (control !== undefined) return unknown(control);
    const again = await this.tryRules(rules);
    if (again === undefined) return found(true);
    return hasAnswered(refused) && hasAnswered(again) ? absent : unknown(again);
  }

  /** What the tool failed with, or undefined. */
  private async tryRules(rules: Partial<Record<TableName, string>>): Promise<CommandError | undefined> {
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

/** It ran to its end; one that was killed, or never began, said nothing. */
function hasAnswered({ exitCode, notFound }: CommandError): boolean {
  return exitCode !== undefined && !notFound;
}

/** The nft variant tells its version in one line and what is wrong in the next; either names a line of its input: show that. */
function explainLine(error: CommandError, tool: string, input: string): Error {
  const { exitCode, stderr, durationMs, notFound, limitMs } = error;
  if (exitCode === lockConflict)
    return new CommandError(tool, { exitCode, stderr: 'another vipwire holds the lock of writes', durationMs });
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

/** What the tool prints, with what it cannot print read from nf_tables. Throws as IptablesDriver.save. */
export async function readSaveText(run: RunCommand, variant: Variant, family: Family): Promise<SaveText> {
  const lines: string[] = [];
  const saved = await new TableReader(family, variant, run).read(readLimitMs.most, (line) => lines.push(line));
  return withTables(lines.join('\n'), saved);
}
