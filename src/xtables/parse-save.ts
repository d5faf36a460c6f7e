/** What iptables-save prints, cut down to what is ours. */
import { blockLocalnetRule, isOurChain, markDropChain, sharedChain, targetChain } from './known-chains';
import { type Jump, type TableName, tableNames } from './rules';

export interface SavedTables {
  /** Chain -> its `-A` lines, joined by newlines. Chains that are ours or kube-proxy's alone. */
  readonly chains: Readonly<Record<TableName, Map<string, string>>>;
  /** Rules of built-in chains that jump to one of these. */
  readonly jumps: readonly Jump[];
  /** Those of these chains that chains of others jump to. */
  readonly usedByOthers: ReadonlySet<string>;
  /** Of each of those one chain that jumps to it. */
  readonly users: ReadonlyMap<string, string>;
  /** Chains with a name of Kubernetes' that are no service proxy's: `mangle KUBE-KUBELET-CANARY`. */
  readonly otherChains: readonly string[];
  /** Rules of others, in all tables. */
  readonly foreignRules: number;
  /** Chains that the kubelet makes: where they are, it runs with this variant. */
  readonly kubeletChains: number;
  /**
   * Tables that iptables-save did not show in full, and why. What is missing in one of these is not known to be missing, unless it
   * was read in another way.
   */
  readonly unread: ReadonlyMap<TableName, string>;
  /** Tables with base chains that iptables-save leaves out: they may jump to chains of ours. */
  readonly withHiddenChains: ReadonlySet<TableName>;
  /** Tables that were shown from their first line to their COMMIT. One that is neither here nor unread was not named at all. */
  readonly complete: ReadonlySet<TableName>;
}

/** Of tables that cannot be read. */
export function noRules(): SavedTables {
  return new SaveParser().result();
}

/** Reads line by line, so that a large table is never in memory as one text. What it does not understand it does not pass over. */
/** Of a whole text. */
export function parseSave(text: string): SavedTables {
  const parser = new SaveParser();
  for (const line of text.split('\n')) parser.line(line);
  return parser.result();
}

export class SaveParser {
  private readonly lines: Readonly<Record<TableName, Map<string, string[]>>> = {
    nat: new Map(),
    filter: new Map(),
    mangle: new Map(),
  };
  private readonly jumps: Jump[] = [];
  /** As it is called after the `*`; undefined between two tables. */
  private open: string | undefined;
  private table: TableName | undefined;
  private readonly users = new Map<string, string>();
  private readonly otherChains: string[] = [];
  private readonly unread = new Map<TableName, string>();
  private readonly withHiddenChains = new Set<TableName>();
  private readonly complete = new Set<TableName>();
  /** A line that belongs to no table: nobody knows what it stands in place of. */
  private stray = '';
  private foreignRules = 0;
  private kubeletChains = 0;

  readonly line = (given: string): void => {
    // As with `iptables-save -c`.
    const line = given.startsWith('[') ? given.replace(/^\[\d+:\d+\] /, '') : given;
    const first = line.charAt(0);
    if (first === '#') this.note(line);
    else if (first === '*') this.begin(line.slice(1).trimEnd());
    else if (line.trimEnd() === '') return;
    else if (this.open === undefined) this.stray ||= line;
    // `-I`: what `vipwire render` prints is read as well.
    else if (line.startsWith('-A ') || line.startsWith('-I ')) this.rule(line);
    else if (first === ':' && line.includes(' ')) this.chain(line.slice(1, line.indexOf(' ')));
    else if (line.trimEnd() === 'COMMIT') this.end();
    else this.failTable(`a line that is not understood: ${line}`);
  };

  /** What the tool said besides, on its standard error. */
  readonly remark = (line: string): void => this.note(line);

  result(): SavedTables {
    if (this.open !== undefined) this.failTable('the output ends in the middle of it');
    const unread = new Map(this.unread);
    if (this.stray !== '')
      for (const table of tableNames)
        if (!this.complete.has(table) && !unread.has(table))
          unread.set(table, `a line that is not understood: ${this.stray}`);
    const chains = {
      nat: new Map<string, string>(),
      filter: new Map<string, string>(),
      mangle: new Map<string, string>(),
    };
    for (const table of tableNames)
      for (const [chain, lines] of this.lines[table]) chains[table].set(chain, lines.join('\n'));
    // Emptied, it would let through what others want dropped.
    const isBorrowed = this.users.has(markDropChain) && chains.nat.delete(markDropChain);
    return {
      chains,
      jumps: this.jumps,
      usedByOthers: new Set(this.users.keys()),
      users: this.users,
      otherChains: isBorrowed ? [...this.otherChains, `nat ${markDropChain}`] : this.otherChains,
      foreignRules: this.foreignRules,
      kubeletChains: this.kubeletChains,
      unread,
      withHiddenChains: this.withHiddenChains,
      complete: new Set([...this.complete].filter((table) => !unread.has(table))),
    };
  }

  /** `# Table `filter' is incompatible, use 'nft' tool.`, in place of the table; or `contains incompatible base-chains`, before it. */
  private note(line: string): void {
    const [, name = '', what = ''] = /\btable [`'"]?(\w+)[`'"]? (is|contains) incompatible/i.exec(line) ?? [];
    const table = tableNames.find((one) => one === name);
    if (table === undefined) return;
    if (what === 'is') this.unread.set(table, line.replace(/^#\s*/, ''));
    else this.withHiddenChains.add(table);
  }

  private begin(name: string): void {
    if (this.open !== undefined) this.failTable('another table begins in the middle of it');
    this.open = name;
    this.table = tableNames.find((table) => table === name);
  }

  private end(): void {
    if (this.table !== undefined) this.complete.add(this.table);
    this.open = this.table = undefined;
  }

  private failTable(why: string): void {
    if (this.table !== undefined && !this.unread.has(this.table)) this.unread.set(this.table, why);
  }

  private chain(name: string): void {
    if (name === 'KUBE-IPTABLES-HINT' || name === 'KUBE-KUBELET-CANARY') this.kubeletChains++;
    if (this.table === undefined) return;
    if (isOurs(this.table, name)) this.lines[this.table].set(name, []);
    else if (name.startsWith('KUBE-')) this.otherChains.push(`${this.table} ${name}`);
  }

  private rule(text: string): void {
    const line = asWritten(text);
    // A rule may be its chain alone.
    const space = line.indexOf(' ', 3);
    const end = space < 0 ? line.length : space;
    const chain = line.slice(3, end);
    const ours = this.table === undefined ? undefined : this.lines[this.table].get(chain);
    if (ours !== undefined) {
      // Of a chain that the kubelet shares only our own rule matters, and that once.
      const isShared = chain === sharedChain && this.table === 'filter';
      if (!isShared || (line.endsWith(blockLocalnetRule) && ours.length === 0)) ours.push(line);
      return;
    }
    const target = targetChain(line);
    if (this.table !== undefined && isOurs(this.table, chain)) this.failTable(`rules of ${chain}, which is not in it`);
    if (this.table === undefined || target === undefined || !this.lines[this.table].has(target)) this.foreignRules++;
    else if (isBuiltIn(chain)) this.jumps.push({ table: this.table, from: chain, rule: line.slice(end + 1) });
    else this.users.set(target, chain);
  }
}

/** Some versions print two spaces, and take one. */
export function asWritten(line: string): string {
  return line.replace('--nfacct-name  ', '--nfacct-name ');
}

/** From the hooks of the kernel. */
export function isBuiltIn(chain: string): chain is Jump['from'] {
  return /^(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING)$/.test(chain);
}

/** Ours, kube-proxy's, or shared with the kubelet. */
export function isOurs(table: TableName, chain: string): boolean {
  return isOurChain(table, chain) || (table === 'filter' && chain === sharedChain);
}
