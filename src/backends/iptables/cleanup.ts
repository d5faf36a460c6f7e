/** Removes everything that is ours or of kube-proxy's iptables mode, and nothing else. */
import type { Family } from '../../model/address';
import type { IptablesTables } from './backend';
import { type Jump, type TableName, tableNames } from './fixed-chains';
import { type SavedTables, sharedChain } from './parse-save';
import { printTable, slices } from './steps';

export interface CleanupReport {
  readonly family: Family;
  readonly chains: number;
  readonly jumps: number;
}

/** Throws where the tables cannot be read or written; what went by then is gone. Nothing to remove is no error. */
export async function cleanUp(tables: IptablesTables, family: Family): Promise<CleanupReport> {
  const saved = await tables.save();
  const steps = planCleanup(saved);
  for (const input of steps) await tables.restore(input);
  let chains = 0;
  for (const table of tableNames) chains += goneChains(saved, table).length;
  return { family, chains, jumps: saved.jumps.length };
}

/** Inputs of iptables-restore: jumps first, so that no packet meets half of a rule set; pure. */
function planCleanup(saved: SavedTables): string[] {
  const steps: string[] = [];
  for (const table of tableNames) {
    const chains = goneChains(saved, table);
    const jumps = saved.jumps.filter((jump) => jump.table === table && !isKept(saved, jump));
    if (jumps.length > 0)
      steps.push([`*${table}`, ...jumps.map(({ from, rule }) => `-D ${from} ${rule}`), 'COMMIT', ''].join('\n'));
    // All are emptied before any is deleted: they jump to each other.
    for (const some of slices(chains, 1000))
      steps.push(printTable({ table, chains: some.map((chain) => [chain, '']), deletions: [], jumps: [] }));
    for (const some of slices(chains, 1000)) steps.push(printTable({ table, chains: [], deletions: some, jumps: [] }));
  }
  return steps;
}

function goneChains(saved: SavedTables, table: TableName): string[] {
  const keep = saved.kubeletChains > 0;
  return [...saved.chains[table].keys()].filter(
    (chain) => !(keep && chain === sharedChain) && !saved.usedByOthers.has(chain),
  );
}

/** The kubelet guards 127.0.0.0/8 with the same chain. */
function isKept(saved: SavedTables, jump: Jump): boolean {
  return saved.kubeletChains > 0 && jump.rule.endsWith(`-j ${sharedChain}`);
}
