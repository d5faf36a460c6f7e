/** What a family's tables hold, by iptables-save and, where that cannot tell, by nf_tables itself. */
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

/** One call of iptables-restore, or rules that are deleted by their handles. */
type WritePart =
  | { readonly kind: 'input'; readonly input: string }
  | { readonly kind: 'deletions'; readonly rules: readonly NfRuleName[] };

/** Where the legacy variant's kernel part says which tables it has. */
const legacyNames = { IPv4: '/proc/net/ip_tables_names', IPv6: '/proc/net/ip6_tables_names' } as const;

export class TableReader {
  /** Opened for each look: the network namespace may be another by the next one. */
  openNfTables: () => NfTableReader = () => new NfTables(this.family);
  readLegacyNames: () => Promise<readonly string[]> = async () =>
    (await readTextFile(legacyNames[this.family])).split('\n');
  private readonly native: NativeTables;

  constructor(
    private readonly family: Family,
    private readonly variant: Variant,
    private readonly run: RunCommand,
  ) {
    this.native = new NativeTables(run, toolName('iptables-restore', variant, family));
  }

  /**
   * Every table is either shown in full, or not there, or read from nf_tables: then it is in `unread`, with what is ours in it. Throws
   * where a table can be read in neither way.
   * @param onLine sees what iptables-save prints.
   */
  async read(timeoutMs: number, onLine?: (line: string) => void): Promise<SavedTables> {
    const { saved, failure } = await this.save([], timeoutMs, onLine);
    const missing = tableNames.filter((table) => !saved.complete.has(table));
    for (const table of saved.complete) this.native.forget(table);
    if (failure !== undefined && !(this.variant === 'nft' && isAboutRules(failure))) throw failure;
    if (missing.length === 0 && saved.withHiddenChains.size === 0) return saved;
    return this.variant === 'nft' ? this.fillIn(saved, missing, failure, timeoutMs) : this.checkLegacy(saved, missing);
  }

  /**
   * The same input; but where a table cannot be printed in full, rules are deleted from it by their handles, before chains that they
   * lead to are deleted and after all else is in force.
   */
  planWrite(input: string): WritePart[] {
    const sections = [...sectionsOf(input)];
    const hasDeletions = ({ table, lines }: Section): boolean =>
      this.native.has(table) && lines.some((line) => line.startsWith('-D '));
    if (!sections.some(hasDeletions)) return [{ kind: 'input', input }];
    const rules = sections.flatMap((section) => this.handlesOf(section));
    const early = printSections(sections.map((section) => this.partOf(section, 'early')));
    const late = printSections(sections.map((section) => this.partOf(section, 'late')));
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
    for (const { table, lines } of sectionsOf(input)) if (this.native.has(table)) this.native.noteWritten(table, lines);
  }

  private handlesOf({ table, lines }: Section): NfRuleName[] {
    if (!this.native.has(table)) return [];
    const rules = lines.flatMap((line) => {
      const [, from = '', rule = ''] = /^-D (\S+) (.*)$/.exec(line) ?? [];
      return isBuiltIn(from) ? [{ from, rule }] : [];
    });
    return this.native.takeHandles(table, rules).map((rule) => ({ table, ...rule }));
  }

  private partOf({ table, lines }: Section, part: 'early' | 'late'): Section {
    if (!this.native.has(table)) return { table, lines: part === 'early' ? lines : [] };
    const deleted = new Set(lines.flatMap((line) => (line.startsWith('-X ') ? [line.slice(3)] : [])));
    const isLate = (line: string): boolean =>
      line.startsWith('-X ') || (line.startsWith(':') && deleted.has(line.slice(1, line.indexOf(' '))));
    return {
      table,
      lines: lines.filter((line) => (part === 'late' ? isLate(line) : !isLate(line) && !line.startsWith('-D '))),
    };
  }

  /** What one call printed, and how it ended. */
  private async save(
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
      const tool = toolName('iptables-save', this.variant, this.family);
      const { stderr = '' } = await this.run(tool, args, { onLine: both, timeoutMs });
      for (const line of stderr.split('\n')) parser.remark(line);
      return { saved: parser.result(), failure: undefined };
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      return { saved: parser.result(), failure: error };
    }
  }

  /** Tables that were not shown in full: one by one, and then by nf_tables. */
  private async fillIn(
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
        // A rule that cannot be printed ends the tool's output: the tables behind it may be whole.
        const alone = failure === undefined ? undefined : await this.save(['-t', table], timeoutMs);
        if (alone?.failure === undefined && alone?.saved.complete.has(table) === true) {
          whole = joinTables(whole, alone.saved);
          continue;
        }
        const reason = (failure && inWords(failure)) ?? saved.unread.get(table) ?? leftOut;
        const native = await this.native.read(nfTables, table);
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
        `cannot tell what table ${table} (${this.family}) holds: ${reason}; nf_tables: ${messageOf(error)}`,
        { cause: error },
      );
    } finally {
      nfTables.close();
    }
  }

  /** A table that is there and was not shown is not an empty one. One that nobody asked for may come as it is asked for. */
  private async checkLegacy(saved: SavedTables, missing: readonly TableName[]): Promise<SavedTables> {
    const names = new Set(await this.readLegacyNames().catch(() => []));
    for (const table of missing) {
      const reason = saved.unread.get(table) ?? (names.has(table) ? leftOut : undefined);
      if (reason !== undefined) throw new Error(`cannot tell what table ${table} (${this.family}) holds: ${reason}`);
    }
    return saved;
  }
}

interface Section {
  readonly table: TableName;
  readonly lines: readonly string[];
}

/** Of what we give to iptables-restore. */
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

/** The same each time that it fails so: without how long it took. */
function inWords({ command, exitCode, stderr }: CommandError): string {
  const lines = stderr.split('\n').map((line) => line.trim());
  return `${command}: exit ${exitCode ?? 'by signal'}: ${lines
    .filter((line) => line !== '')
    .slice(0, 2)
    .join(' ')}`;
}

/** The tool ended by itself before it had printed all: it was not refused, killed or missing. Versions have different words for it. */
function isAboutRules({ exitCode, notFound, stderr }: CommandError): boolean {
  return !notFound && exitCode !== undefined && !/permission denied|not permitted/i.test(stderr);
}

function isUnavailable(error: unknown): boolean {
  return error instanceof NetlinkUnavailableError;
}

/** What was seen of a table that was cut counts for nothing. */
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
