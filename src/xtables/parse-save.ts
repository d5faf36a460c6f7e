/** Reads the output of iptables-save and keeps what concerns a service proxy. */
import { blockLocalnetRule, isOurChain, markDropChain, sharedChain, targetChain } from './known-chains';
import { type Jump, type TableName, tableNames } from './rules';

export interface SavedTables {
  /** Chain -> its `-A` lines, joined by newlines. Only chains of vipwire and kube-proxy. */
  readonly chains: Readonly<Record<TableName, Map<string, string>>>;
  /** Rules of built-in chains that jump to one of `chains`. */
  readonly jumps: readonly Jump[];
  /** Those of `chains` to which other people's chains jump. */
  readonly usedByOthers: ReadonlySet<string>;
  /** For each of `usedByOthers` one chain that jumps to it. */
  readonly users: ReadonlyMap<string, string>;
  /** Chains named KUBE-... that do not belong to a service proxy: `mangle KUBE-KUBELET-CANARY`. */
  readonly otherChains: readonly string[];
  /** The number of other people's rules, in all tables. */
  readonly foreignRules: number;
  /** The number of chains that the kubelet makes. When there are some, the kubelet uses this variant. */
  readonly kubeletChains: number;
  /**
   * Tables that iptables-save did not show in full, and why. What was not seen of such a table may be there, unless the table
   * was read in another way.
   */
  readonly unread: ReadonlyMap<TableName, string>;
  /** Tables with base chains that iptables-save leaves out. Those may jump to our chains. */
  readonly withHiddenChains: ReadonlySet<TableName>;
  /** Tables that were shown from their first line to their COMMIT. A table that is neither here nor in `unread` was not named at all. */
  readonly complete: ReadonlySet<TableName>;
}

/** For tables that cannot be read. */
export function noRules(): SavedTables {
  return new SaveParser().result();
}

/** Reads a whole text. */
export function parseSave(text: string): SavedTables {
  const parser = new SaveParser();
  for (const line of text.split('\n')) parser.line(line);
  return parser.result();
}

/**
 * Reads line by line, so that a large table is never in memory as one text. A line that it does not understand makes the table
 * unread.
 */
export class SaveParser {
  readonly #lines: Readonly<Record<TableName, Map<string, string[]>>> = {
    nat: new Map(),
    filter: new Map(),
    mangle: new Map(),
  };
  readonly #jumps: Jump[] = [];
  /** The name after the `*` of the open table, which may be one that we do not use. undefined between two tables. */
  #open: string | undefined;
  #table: TableName | undefined;
  readonly #users = new Map<string, string>();
  readonly #otherChains: string[] = [];
  readonly #unread = new Map<TableName, string>();
  readonly #withHiddenChains = new Set<TableName>();
  readonly #complete = new Set<TableName>();
  /** The first line outside of all tables. It may stand for any table that was not shown. */
  #stray = '';
  #foreignRules = 0;
  #kubeletChains = 0;

  readonly line = (given: string): void => {
    // `iptables-save -c` prints counters first.
    const line = given.startsWith('[') ? given.replace(/^\[\d+:\d+\] /, '') : given;
    const first = line.charAt(0);
    if (first === '#') this.#note(line);
    else if (first === '*') this.#begin(line.slice(1).trimEnd());
    else if (line.trimEnd() === '') return;
    else if (this.#open === undefined) this.#stray ||= line;
    // `vipwire render` prints `-I` lines, and its output is read too.
    else if (line.startsWith('-A ') || line.startsWith('-I ')) this.#rule(line);
    else if (first === ':' && line.includes(' ')) this.#chain(line.slice(1, line.indexOf(' ')));
    else if (line.trimEnd() === 'COMMIT') this.#end();
    else this.#failTable(`vipwire does not understand the line: ${line}`);
  };

  /** Takes a line of the tool's standard error. */
  readonly remark = (line: string): void => this.#note(line);

  result(): SavedTables {
    if (this.#open !== undefined) this.#failTable('the output ends in the middle of the table');
    const unread = new Map(this.#unread);
    if (this.#stray !== '')
      for (const table of tableNames)
        if (!this.#complete.has(table) && !unread.has(table))
          unread.set(table, `vipwire does not understand the line: ${this.#stray}`);
    const chains = {
      nat: new Map<string, string>(),
      filter: new Map<string, string>(),
      mangle: new Map<string, string>(),
    };
    for (const table of tableNames)
      for (const [chain, lines] of this.#lines[table]) chains[table].set(chain, lines.join('\n'));
    // If it were emptied, it would let through what others want dropped.
    const isBorrowed = this.#users.has(markDropChain) && chains.nat.delete(markDropChain);
    return {
      chains,
      jumps: this.#jumps,
      usedByOthers: new Set(this.#users.keys()),
      users: this.#users,
      otherChains: isBorrowed ? [...this.#otherChains, `nat ${markDropChain}`] : this.#otherChains,
      foreignRules: this.#foreignRules,
      kubeletChains: this.#kubeletChains,
      unread,
      withHiddenChains: this.#withHiddenChains,
      complete: new Set([...this.#complete].filter((table) => !unread.has(table))),
    };
  }

  /**
   * Reads `# Table `filter' is incompatible, use 'nft' tool.`, which is printed instead of the table, and
   * `contains incompatible base-chains`, which is printed before it.
   */
  #note(line: string): void {
    const [, name = '', what = ''] = /\btable [`'"]?(\w+)[`'"]? (is|contains) incompatible/i.exec(line) ?? [];
    const table = tableNames.find((one) => one === name);
    if (table === undefined) return;
    if (what === 'is') this.#unread.set(table, line.replace(/^#\s*/, ''));
    else this.#withHiddenChains.add(table);
  }

  #begin(name: string): void {
    if (this.#open !== undefined) this.#failTable('another table begins in the middle of this one');
    this.#open = name;
    this.#table = tableNames.find((table) => table === name);
  }

  #end(): void {
    if (this.#table !== undefined) this.#complete.add(this.#table);
    this.#open = this.#table = undefined;
  }

  #failTable(why: string): void {
    if (this.#table !== undefined && !this.#unread.has(this.#table)) this.#unread.set(this.#table, why);
  }

  #chain(name: string): void {
    if (name === 'KUBE-IPTABLES-HINT' || name === 'KUBE-KUBELET-CANARY') this.#kubeletChains++;
    if (this.#table === undefined) return;
    if (isOurs(this.#table, name)) this.#lines[this.#table].set(name, []);
    else if (name.startsWith('KUBE-')) this.#otherChains.push(`${this.#table} ${name}`);
  }

  #rule(text: string): void {
    const line = asWritten(text);
    // A rule without matches and target is `-A CHAIN` alone.
    const space = line.indexOf(' ', 3);
    const end = space < 0 ? line.length : space;
    const chain = line.slice(3, end);
    const ours = this.#table === undefined ? undefined : this.#lines[this.#table].get(chain);
    if (ours !== undefined) {
      // In the chain that is shared with the kubelet only our own rule counts, and only once.
      const isShared = chain === sharedChain && this.#table === 'filter';
      if (!isShared || (line.endsWith(blockLocalnetRule) && ours.length === 0)) ours.push(line);
      return;
    }
    const target = targetChain(line);
    if (this.#table !== undefined && isOurs(this.#table, chain))
      this.#failTable(`it has rules of ${chain}, a chain that it does not declare`);
    if (this.#table === undefined || target === undefined || !this.#lines[this.#table].has(target))
      this.#foreignRules++;
    else if (isBuiltIn(chain)) this.#jumps.push({ table: this.#table, from: chain, rule: line.slice(end + 1) });
    else this.#users.set(target, chain);
  }
}

/** As iptables-restore takes it. Some versions print two spaces here and take one. */
export function asWritten(line: string): string {
  return line.replace('--nfacct-name  ', '--nfacct-name ');
}

/** Whether the chain is one of the kernel's hooks. */
export function isBuiltIn(chain: string): chain is Jump['from'] {
  return /^(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING)$/.test(chain);
}

/** Whether the chain is ours, kube-proxy's, or shared with the kubelet. */
export function isOurs(table: TableName, chain: string): boolean {
  return isOurChain(table, chain) || (table === 'filter' && chain === sharedChain);
}
