/** What iptables-save prints, cut down to what is ours. */
import { blockLocalnetRule, isOurChain, markDropChain, sharedChain } from './known-chains';
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
}

/** Of tables that cannot be read. */
export function noRules(): SavedTables {
  return new SaveParser().result();
}

/** Reads line by line, so that a large table is never in memory as one text. */
export class SaveParser {
  private readonly lines: Readonly<Record<TableName, Map<string, string[]>>> = {
    nat: new Map(),
    filter: new Map(),
    mangle: new Map(),
  };
  private readonly jumps: Jump[] = [];
  private table: TableName | undefined;
  private readonly users = new Map<string, string>();
  private readonly otherChains: string[] = [];
  private foreignRules = 0;
  private kubeletChains = 0;

  readonly line = (line: string): void => {
    const first = line.charAt(0);
    if (first === '-') this.rule(line);
    else if (first === ':') this.chain(line.slice(1, line.indexOf(' ')));
    else if (first === '*') this.table = tableNames.find((table) => table === line.slice(1));
  };

  result(): SavedTables {
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
    };
  }

  private chain(name: string): void {
    if (name === 'KUBE-IPTABLES-HINT' || name === 'KUBE-KUBELET-CANARY') this.kubeletChains++;
    if (this.table === undefined) return;
    if (isOurs(this.table, name)) this.lines[this.table].set(name, []);
    else if (name.startsWith('KUBE-')) this.otherChains.push(`${this.table} ${name}`);
  }

  private rule(text: string): void {
    // Some versions print two spaces, and take one.
    const line = text.replace('--nfacct-name  ', '--nfacct-name ');
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
    const target = / -[jg] (KUBE-\S+)$/.exec(line)?.[1];
    if (this.table === undefined || target === undefined || !this.lines[this.table].has(target)) this.foreignRules++;
    else if (isBuiltIn(chain)) this.jumps.push({ table: this.table, from: chain, rule: line.slice(end + 1) });
    else this.users.set(target, chain);
  }
}

function isBuiltIn(chain: string): chain is Jump['from'] {
  return /^(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING)$/.test(chain);
}

function isOurs(table: TableName, chain: string): boolean {
  return isOurChain(table, chain) || (table === 'filter' && chain === sharedChain);
}
