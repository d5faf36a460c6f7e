/** Reads a family's tables by iptables-save and, where that cannot tell, from nf_tables itself. */
import { CommandError, type RunCommand } from '../host/command';
import { NetlinkUnavailableError } from '../host/netlink';
import { type NfRuleName, NfTables } from '../host/nf-tables';
import type { Family } from '../model/address';
import { readTextFile } from '../host/files';
import { type NativeTable, NativeTables, type NfTableReader, usesOfOthers } from './driver-native-tables';
import { isBuiltIn, type SavedTables, SaveParser } from './parse-save';
import { type TableName, tableNames } from './rules';
import { toolName } from './tool-names';
import type { Variant } from './variant';
import { messageOf } from '../model/error-message';

/** One call of iptables-restore, or rules to delete by their handles. */
type WritePart =
  | { readonly kind: 'input'; readonly input: string }
  | { readonly kind: 'deletions'; readonly rules: readonly NfRuleName[] };

/** Where the kernel lists the tables of the legacy variant. */
const legacyNames = { IPv4: '/proc/net/ip_tables_names', IPv6: '/proc/net/ip6_tables_names' } as const;

export class TableReader {
  /** Opened for each read, because the network namespace may have changed by the next one. */
  openNfTables: () => NfTableReader = () => new NfTables(this.#family);
  readLegacyNames: () => Promise<readonly string[]> = async () =>
    (await readTextFile(legacyNames[this.#family])).split('\n');
  readonly #native: NativeTables;
  readonly #family: Family;
  readonly #variant: Variant;
  readonly #run: RunCommand;

  constructor(family: Family, variant: Variant, run: RunCommand) {
    this.#family = family;
    this.#variant = variant;
    this.#run = run;
    this.#native = new NativeTables(run, toolName('iptables-restore', variant, family));
  }

  /**
   * Afterwards every table was shown in full, or is not there, or was read from nf_tables. In the last case it is listed in
   * `unread`, and our chains in it are known. Throws when a table can be read in neither way.
   * @param onLine sees what iptables-save prints.
   */
  async read(timeoutMs: number, onLine?: (line: string) => void): Promise<SavedTables> {
    const { saved, failure } = await this.#save([], timeoutMs, onLine);
    const missing = tableNames.filter((table) => !saved.complete.has(table));
    for (const table of saved.complete) this.#native.forget(table);
    if (failure !== undefined && !(this.#variant === 'nft' && isAboutRules(failure))) throw failure;
    if (missing.length === 0 && saved.withHiddenChains.size === 0) return saved;
    return this.#variant === 'nft'
      ? this.#fillIn(saved, missing, failure, timeoutMs)
      : this.#checkLegacy(saved, missing);
  }

  /**
   * Splits the input when it deletes rules of a table that cannot be printed in full. Those rules are deleted by their handles, after
   * all else is in force and before the chains that they lead to are deleted.
   */
  planWrite(input: string): WritePart[] {
    const sections = [...sectionsOf(input)];
    const hasDeletions = ({ table, lines }: Section): boolean =>
      this.#native.has(table) && lines.some((line) => line.startsWith('-D '));
    if (!sections.some(hasDeletions)) return [{ kind: 'input', input }];
    const rules = sections.flatMap((section) => this.#handlesOf(section));
    const early = printSections(sections.map((section) => this.#partOf(section, 'early')));
    const late = printSections(sections.map((section) => this.#partOf(section, 'late')));
    return [
      ...(early === '' ? [] : [{ kind: 'input', input: early } as const]),
      ...(rules.length === 0 ? [] : [{ kind: 'deletions', rules } as const]),
      ...(late === '' ? [] : [{ kind: 'input', input: late } as const]),
    ];
  }

  /** Throws as NfTables.deleteRules. */
  async deleteRules(rules: readonly NfRuleName[]): Promise<void> {
    const nfTables = this.openNfTables();
    try {
      await nfTables.deleteRules(rules);
    } finally {
      nfTables.close();
    }
  }

  noteWritten(input: string): void {
    for (const { table, lines } of sectionsOf(input))
      if (this.#native.has(table)) this.#native.noteWritten(table, lines);
  }

  #handlesOf({ table, lines }: Section): NfRuleName[] {
    if (!this.#native.has(table)) return [];
    const rules = lines.flatMap((line) => {
      const [, from = '', rule = ''] = /^-D (\S+) (.*)$/.exec(line) ?? [];
      return isBuiltIn(from) ? [{ from, rule }] : [];
    });
    return this.#native.takeHandles(table, rules).map((rule) => ({ table, ...rule }));
  }

  #partOf({ table, lines }: Section, part: 'early' | 'late'): Section {
    if (!this.#native.has(table)) return { table, lines: part === 'early' ? lines : [] };
    const deleted = new Set(lines.flatMap((line) => (line.startsWith('-X ') ? [line.slice(3)] : [])));
    const isLate = (line: string): boolean =>
      line.startsWith('-X ') || (line.startsWith(':') && deleted.has(line.slice(1, line.indexOf(' '))));
    return {
      table,
      lines: lines.filter((line) => (part === 'late' ? isLate(line) : !isLate(line) && !line.startsWith('-D '))),
    };
  }

  /** One call of iptables-save: what it printed, and how it failed. */
  async #save(
    args: readonly string[],
    timeoutMs: number,
    onLine?: (line: string) => void,
  ): Promise<{ readonly saved: SavedTables; readonly failure: CommandError | undefined }> {
    const parser = new SaveParser();
    const both = (line: string): void => {
      parser.line(line);
      onLine?.(line);
    };
    try {
      const tool = toolName('iptables-save', this.#variant, this.#family);
      const { stderr = '' } = await this.#run(tool, args, { onLine: both, timeoutMs });
      for (const line of stderr.split('\n')) parser.remark(line);
      return { saved: parser.result(), failure: undefined };
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      return { saved: parser.result(), failure: error };
    }
  }

  /** Reads the tables that were not shown in full, each by a call of its own, and else from nf_tables. */
  async #fillIn(
    saved: SavedTables,
    missing: readonly TableName[],
    failure: CommandError | undefined,
    timeoutMs: number,
  ): Promise<SavedTables> {
    const nfTables = this.openNfTables();
    try {
      const names = new Set((await nfTables.readTables()).map(({ name }) => name));
      let whole = withoutTables(saved, missing);
      for (const table of missing.filter((name) => names.has(name))) {
        // A rule that cannot be printed ends the tool's output. The tables after it may be printable.
        const alone = failure === undefined ? undefined : await this.#save(['-t', table], timeoutMs);
        if (alone?.failure === undefined && alone?.saved.complete.has(table) === true) {
          whole = joinTables(whole, alone.saved);
          continue;
        }
        const reason = (failure && inWords(failure)) ?? saved.unread.get(table) ?? leftOut;
        const native = await this.#native.read(nfTables, table);
        if (native !== undefined) whole = joinNative(whole, table, native, reason);
      }
      for (const table of whole.withHiddenChains) {
        if (!whole.complete.has(table)) continue;
        const hidden = await nfTables.readTable(table, ({ target }) => ({ target }));
        if (hidden !== undefined)
          whole = { ...whole, usedByOthers: new Set([...whole.usedByOthers, ...usesOfOthers(table, hidden)]) };
      }
      return whole;
    } catch (error) {
      if (missing.length === 0 || (failure === undefined && saved.unread.size === 0 && isUnavailable(error)))
        return saved;
      const [table = missing[0], reason = failure?.message ?? leftOut] = [...saved.unread][0] ?? [];
      throw new Error(
        `cannot tell what table ${table} (${this.#family}) holds: ${reason}; nf_tables: ${messageOf(error)}`,
        { cause: error },
      );
    } finally {
      nfTables.close();
    }
  }

  /** Throws when a table that the kernel lists was not shown. A table that it does not list is created at its first use. */
  async #checkLegacy(saved: SavedTables, missing: readonly TableName[]): Promise<SavedTables> {
    const names = new Set(await this.readLegacyNames().catch(() => []));
    for (const table of missing) {
      const reason = saved.unread.get(table) ?? (names.has(table) ? leftOut : undefined);
      if (reason !== undefined) throw new Error(`cannot tell what table ${table} (${this.#family}) holds: ${reason}`);
    }
    return saved;
  }
}

interface Section {
  readonly table: TableName;
  readonly lines: readonly string[];
}

/** The sections of an input of iptables-restore that we wrote. */
function* sectionsOf(input: string): Generator<Section> {
  let section: { table: TableName; lines: string[] } | undefined;
  for (const line of input.split('\n')) {
    const table = line.startsWith('*') ? tableNames.find((name) => name === line.slice(1)) : undefined;
    if (table !== undefined) section = { table, lines: [] };
    else if (line === 'COMMIT' && section !== undefined) yield section;
    else if (line !== '') section?.lines.push(line);
  }
}

function printSections(sections: readonly Section[]): string {
  return sections
    .filter(({ lines }) => lines.length > 0)
    .map(({ table, lines }) => [`*${table}`, ...lines, 'COMMIT', ''].join('\n'))
    .join('');
}

const leftOut = 'iptables-save left it out';

/** The failure in words that stay the same from one failure to the next: without its duration. */
function inWords({ command, exitCode, stderr }: CommandError): string {
  const lines = stderr.split('\n').map((line) => line.trim());
  return `${command}: exit ${exitCode ?? 'by signal'}: ${lines
    .filter((line) => line !== '')
    .slice(0, 2)
    .join(' ')}`;
}

/**
 * Whether the tool ended by itself before it had printed everything. It was not refused, killed or missing. The message differs
 * between versions.
 */
function isAboutRules({ exitCode, notFound, stderr }: CommandError): boolean {
  return !notFound && exitCode !== undefined && !/permission denied|not permitted/i.test(stderr);
}

function isUnavailable(error: unknown): boolean {
  return error instanceof NetlinkUnavailableError;
}

/** Leaves out what was seen of tables that were not shown to their end. */
function withoutTables(saved: SavedTables, tables: readonly TableName[]): SavedTables {
  const chains = { ...saved.chains };
  for (const table of tables) chains[table] = new Map();
  return { ...saved, chains, jumps: saved.jumps.filter(({ table }) => !tables.includes(table)), unread: new Map() };
}

function joinTables(saved: SavedTables, more: SavedTables): SavedTables {
  const chains = { ...saved.chains };
  for (const table of more.complete) chains[table] = more.chains[table];
  return {
    ...saved,
    chains,
    jumps: [...saved.jumps, ...more.jumps],
    usedByOthers: new Set([...saved.usedByOthers, ...more.usedByOthers]),
    foreignRules: saved.foreignRules + more.foreignRules,
    kubeletChains: saved.kubeletChains + more.kubeletChains,
    complete: new Set([...saved.complete, ...more.complete]),
  };
}

function joinNative(saved: SavedTables, table: TableName, native: NativeTable, reason: string): SavedTables {
  return {
    ...saved,
    chains: { ...saved.chains, [table]: native.chains },
    jumps: [...saved.jumps, ...native.jumps],
    usedByOthers: new Set([...saved.usedByOthers, ...native.usedByOthers]),
    foreignRules: saved.foreignRules + native.foreignRules,
    kubeletChains: saved.kubeletChains + native.kubeletChains,
    unread: new Map([...saved.unread, [table, reason]]),
  };
}
