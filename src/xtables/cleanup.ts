/** Removes everything of vipwire and of any version of kube-proxy from the iptables tables, and nothing else. */
import type { Family } from '../model/address';
import { sharedChain, targetChains } from './known-chains';
import type { SavedTables } from './parse-save';
import { emptyStep, type Jump, printTable, slices, type TableName, tableNames } from './rules';
import type { KernelTables } from './kernel-tables';

export interface CleanupReport {
  readonly family: Family;
  /** How many chains went, as a second look shows. */
  readonly chains: number;
  /** How many jumps went. */
  readonly jumps: number;
  /** Chains that stay although they have one of Kubernetes' names, and why: `filter KUBE-FIREWALL: the kubelet uses it`. */
  readonly kept: readonly string[];
  /** Chains and jumps that should have gone and are still there. */
  readonly left: readonly string[];
}

/** Throws when the tables cannot be read or written. What was removed by then stays removed. Nothing to remove is no error. */
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

/** One line for each chain that stays. */
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
  if (user !== undefined) return usedBy(user);
  if (isShared(table, chain) && kubeletChains > 0) return 'the kubelet uses this iptables variant, and this chain too';
  return 'a chain that is kept jumps to it';
}

function whyForeign(name: string, { users }: SavedTables): string {
  const [, chain = ''] = name.split(' ');
  const user = users.get(chain);
  if (user !== undefined) return usedBy(user);
  return /^KUBE-(KUBELET-|IPTABLES-HINT$)/.test(chain)
    ? 'it belongs to the kubelet'
    : 'it does not belong to a service proxy';
}

function usedBy(user: string): string {
  return `the chain ${user} jumps to it, which does not belong to a service proxy`;
}

function isShared(table: TableName, chain: string): boolean {
  return table === 'filter' && chain === sharedChain;
}

/** Inputs of iptables-restore. The jumps go first, so that no packet meets half of a rule set. */
function planCleanup(saved: SavedTables): string[] {
  const steps: string[] = [];
  for (const table of tableNames) {
    const chains = goneChains(saved, table);
    const jumps = goneJumps(saved).filter((jump) => jump.table === table);
    if (jumps.length > 0)
      steps.push([`*${table}`, ...jumps.map(({ from, rule }) => `-D ${from} ${rule}`), 'COMMIT', ''].join('\n'));
    // All chains are emptied before the first is deleted, because they jump to each other.
    for (const some of slices(chains, 1000))
      steps.push(printTable({ ...emptyStep(table), chains: some.map((chain) => [chain, '']) }));
    for (const some of slices(chains, 1000)) steps.push(printTable({ ...emptyStep(table), deletions: some }));
  }
  return steps;
}

/** The chains to remove. A chain stays when other people's chains lead to it, directly or by other chains: somebody relies on it. */
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

/** The jumps to remove. With a kubelet those to the shared chain stay, because the kubelet guards 127.0.0.0/8 with it. */
function goneJumps({ jumps, kubeletChains }: SavedTables): Jump[] {
  return jumps.filter(({ rule }) => kubeletChains === 0 || !rule.endsWith(`-j ${sharedChain}`));
}
