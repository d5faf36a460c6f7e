/** Removes everything that is ours or of kube-proxy's iptables mode, and nothing else. */
import type { Family } from '../model/address';
import { sharedChain } from './known-chains';
import type { SavedTables } from './parse-save';
import { type KernelTables, type Jump, type TableName, tableNames, printTable, slices } from './rules';

export interface CleanupReport {
  readonly family: Family;
  readonly chains: number;
  readonly jumps: number;
}

/** Throws where the tables cannot be read or written; what went by then is gone. Nothing to remove is no error. */
export async function cleanUp(tables: KernelTables, family: Family): Promise<CleanupReport> {
  const saved = await tables.save();
  const steps = planCleanup(saved);
  for (const input of steps) await tables.restore(input);
  let chains = 0;
  for (const table of tableNames) chains += goneChains(saved, table).length;
  return { family, chains, jumps: goneJumps(saved).length };
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
    for (const [, target] of (chains.get(chain) ?? '').matchAll(/ -j (KUBE-\S+)$/gm)) keep(target ?? '');
  };
  for (const chain of saved.usedByOthers) keep(chain);
  if (saved.kubeletChains > 0) keep(sharedChain);
  return [...chains.keys()].filter((chain) => !kept.has(chain));
}

/** The kubelet guards 127.0.0.0/8 with the same chain. */
function goneJumps({ jumps, kubeletChains }: SavedTables): Jump[] {
  return jumps.filter(({ rule }) => kubeletChains === 0 || !rule.endsWith(`-j ${sharedChain}`));
}
