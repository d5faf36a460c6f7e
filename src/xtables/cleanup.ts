/** Removes everything that is ours or of any version of kube-proxy from the iptables tables, and nothing else. */
import type { Family } from '../model/address';
import { sharedChain, targetChains } from './known-chains';
import type { SavedTables } from './parse-save';
import { type Jump, type TableName, tableNames, printTable, slices } from './rules';
import type { KernelTables } from './kernel-tables';

export interface CleanupReport {
  readonly family: Family;
  /** That went, as a second look shows. */
  readonly chains: number;
  readonly jumps: number;
  /** What stays though its name is Kubernetes', and why: `filter KUBE-FIREWALL: the kubelet uses it`. */
  readonly kept: readonly string[];
  /** What was to go and is there all the same. */
  readonly left: readonly string[];
}

/** Throws where the tables cannot be read or written; what went by then is gone. Nothing to remove is no error. */
export async function cleanUp(tables: KernelTables, family: Family): Promise<CleanupReport> {
  const before = await tables.save();
  const steps = planCleanup(before);
  for (const input of steps) await tables.restore(input);
  const after = steps.length === 0 ? before : await tables.save();
  const [chains, chainsLeft] = [allGoneChains(before), allGoneChains(after)];
  const [jumps, jumpsLeft] = [goneJumps(before), goneJumps(after)];
  return {
    family,
    chains: Math.max(0, chains.length - chainsLeft.length),
    jumps: Math.max(0, jumps.length - jumpsLeft.length),
    kept: explainKept(after),
    left: [...chainsLeft, ...jumpsLeft.map(({ table, from, rule }) => `${table} ${from} ${rule}`)],
  };
}

function allGoneChains(saved: SavedTables): string[] {
  return tableNames.flatMap((table) => goneChains(saved, table).map((chain) => `${table} ${chain}`));
}

/** A line for each chain; pure. */
function explainKept(saved: SavedTables): string[] {
  const kept = tableNames.flatMap((table) => {
    const gone = new Set(goneChains(saved, table));
    return [...saved.chains[table].keys()].filter((chain) => !gone.has(chain)).map((chain) => [table, chain] as const);
  });
  return [
    ...kept.map(([table, chain]) => `${table} ${chain}: ${whyKept(table, chain, saved)}`),
    ...saved.otherChains.map((name) => `${name}: ${whyForeign(name, saved)}`),
  ];
}

function whyKept(table: TableName, chain: string, { users, kubeletChains }: SavedTables): string {
  const user = users.get(chain);
  if (user !== undefined) return `${user} jumps to it, which is no service proxy's`;
  if (isShared(table, chain) && kubeletChains > 0) return 'the kubelet runs with this variant and uses it too';
  return 'a chain that is kept leads to it';
}

function whyForeign(name: string, { users }: SavedTables): string {
  const [, chain = ''] = name.split(' ');
  const user = users.get(chain);
  if (user !== undefined) return `${user} jumps to it, which is no service proxy's`;
  return /^KUBE-(KUBELET-|IPTABLES-HINT$)/.test(chain) ? "it is the kubelet's" : "it is no service proxy's";
}

function isShared(table: TableName, chain: string): boolean {
  return table === 'filter' && chain === sharedChain;
}

/** Inputs of iptables-restore: jumps first, so that no packet meets half of a rule set; pure. */
function planCleanup(saved: SavedTables): string[] {
  const steps: string[] = [];
  for (const table of tableNames) {
    const chains = goneChains(saved, table);
    const jumps = goneJumps(saved).filter((jump) => jump.table === table);
    if (jumps.length > 0)
      steps.push([`*${table}`, ...jumps.map(({ from, rule }) => `-D ${from} ${rule}`), 'COMMIT', ''].join('\n'));
    // All are emptied before any is deleted: they jump to each other.
    for (const some of slices(chains, 1000))
      steps.push(
        printTable({ table, chains: some.map((chain) => [chain, '']), appends: [], deletions: [], jumps: [] }),
      );
    for (const some of slices(chains, 1000))
      steps.push(printTable({ table, chains: [], appends: [], deletions: some, jumps: [] }));
  }
  return steps;
}

/** Not what chains of others jump to, nor what that leads to: somebody relies on it. */
function goneChains(saved: SavedTables, table: TableName): string[] {
  const chains = saved.chains[table];
  const kept = new Set<string>();
  const keep = (chain: string): void => {
    if (kept.has(chain)) return;
    kept.add(chain);
    for (const target of targetChains(chains.get(chain) ?? '')) keep(target);
  };
  for (const chain of saved.usedByOthers) keep(chain);
  if (saved.kubeletChains > 0 && table === 'filter') keep(sharedChain);
  return [...chains.keys()].filter((chain) => !kept.has(chain));
}

/** The kubelet guards 127.0.0.0/8 with the same chain. */
function goneJumps({ jumps, kubeletChains }: SavedTables): Jump[] {
  return jumps.filter(({ rule }) => kubeletChains === 0 || !rule.endsWith(`-j ${sharedChain}`));
}
