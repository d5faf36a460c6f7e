/** From what differs to calls of iptables-restore, each of which is right by itself. */
import type { Pending } from '../../delta/delta-tracker';
import { fixedChains, type Jump, type TableName, tableNames } from './fixed-chains';
import { serviceChainPrefixes } from './names';
import type { RuleSet } from './rule-set';

export interface TableStep {
  readonly table: TableName;
  /** Written anew, whole: chain -> its lines. */
  readonly chains: readonly (readonly [chain: string, lines: string])[];
  readonly deletions: readonly string[];
  readonly jumps: readonly Jump[];
}

export interface Step {
  readonly title: string;
  readonly tables: readonly TableStep[];
}

/**
 * In the nft variant one call's time grows with the square of the chains in it; the legacy variant rewrites the whole table at each
 * call.
 */
export const chainsPerCall = { nft: 1000, legacy: Number.POSITIVE_INFINITY } as const;

type ChainLines = [chain: string, lines: string];
type Differences = Readonly<Record<TableName, Pending<string, string>>>;

/**
 * Small: one call. Large: marks first, then Services' chains and such dispatch as nothing leads to yet, then all that leads
 * to them in one call, and what nobody needs any more last. nat goes before filter: a rule that refuses a VIP does nothing to a
 * packet that nat took away from it.
 */
export function planSteps(rules: RuleSet, missingJumps: readonly Jump[], limit: number): Step[] {
  const differences = Object.fromEntries(
    tableNames.map((table) => [table, rules.tables[table].pending()]),
  ) as unknown as Differences;
  const changes = tableNames.map((table) => differences[table].updates.size + differences[table].deletions.size);
  const count = changes.reduce((sum, more) => sum + more, 0);
  if (count === 0 && missingJumps.length === 0) return [];
  if (count <= limit) return [{ title: 'all', tables: tableSteps(differences, missingJumps) }];

  const { updates } = differences.nat;
  const early: ChainLines[] = [];
  const late: ChainLines[] = [];
  const marks: ChainLines[] = [];
  for (const entry of updates) {
    const [chain] = entry;
    if (chain === 'KUBE-MARK-MASQ' || chain === 'KUBE-POSTROUTING') marks.push(entry);
    else if (isServiceChain(chain) || (isDispatchChain(chain) && rules.tables.nat.getObserved(chain) === undefined))
      early.push(entry);
    else late.push(entry);
  }
  const postrouting = missingJumps.filter((jump) => jump.from === 'POSTROUTING');
  const otherJumps = missingJumps.filter((jump) => jump.from !== 'POSTROUTING');
  const nat = (title: string, chains: ChainLines[], jumps: readonly Jump[] = []): Step => ({
    title,
    tables: [{ table: 'nat', chains, deletions: [], jumps }],
  });
  const steps: Step[] = [];
  if (marks.length + postrouting.length > 0) steps.push(nat('marks', marks, postrouting));
  for (const chains of slices(leavesFirst(early), limit)) steps.push(nat('services', chains));
  const rest = { ...differences, nat: { updates: new Map(late), deletions: new Set<string>() } };
  const filter = { updates: differences.filter.updates, deletions: new Set<string>() };
  const dispatch = tableSteps({ ...rest, filter }, otherJumps);
  if (dispatch.length > 0) steps.push({ title: 'dispatch', tables: dispatch });
  for (const table of ['nat', 'filter'] as const) {
    const stale = [...differences[table].deletions].map(
      (chain): ChainLines => [chain, rules.tables[table].getObserved(chain) ?? ''],
    );
    // Whoever jumps goes before the chain that it jumps to.
    const jumpersFirst = leavesFirst(stale)
      .map(([chain]) => chain)
      .reverse();
    for (const deletions of slices(jumpersFirst, limit))
      steps.push({ title: 'removals', tables: [{ table, chains: [], deletions, jumps: [] }] });
  }
  return steps;
}

function tableSteps(differences: Differences, jumps: readonly Jump[]): TableStep[] {
  return tableNames
    .map((table) => ({
      table,
      chains: [...differences[table].updates],
      deletions: [...differences[table].deletions],
      jumps: jumps.filter((jump) => jump.table === table),
    }))
    .filter((step) => step.chains.length + step.deletions.length + step.jumps.length > 0);
}

function isDispatchChain(chain: string): boolean {
  return !isServiceChain(chain) && serviceChainPrefixes.some((prefix) => chain.startsWith(prefix));
}

function isServiceChain(chain: string): boolean {
  return /^KUBE-(SVC|SVL|EXT|FW|SEP)-[A-Z2-7]{16}$/.test(chain);
}

/** A chain must be there before a rule jumps to it: in the order in which jumps lead from one to the next, backwards. */
function leavesFirst(chains: ChainLines[]): ChainLines[] {
  const byName = new Map(chains);
  const out: ChainLines[] = [];
  const visit = (chain: string): void => {
    const lines = byName.get(chain);
    if (lines === undefined) return;
    byName.delete(chain);
    for (const [, target] of lines.matchAll(/ -j (KUBE-\S+)/g)) visit(target ?? '');
    out.push([chain, lines]);
  };
  for (const [chain] of chains) visit(chain);
  return out;
}

export function* slices<T>(list: T[], size: number): Generator<T[]> {
  for (let at = 0; at < list.length; at += size) yield list.slice(at, at + size);
}

/** Valid input of `iptables-restore --noflush`. A declared chain is emptied; foreign chains are not touched. */
export function printStep(step: Step): string {
  return step.tables.map(printTable).join('');
}

export function printTable({ table, chains, deletions, jumps }: TableStep): string {
  const lines = [`*${table}`];
  for (const [chain] of chains) lines.push(`:${chain} - [0:0]`);
  for (const chain of deletions) lines.push(`:${chain} - [0:0]`);
  for (const [, text] of chains) if (text !== '') lines.push(text);
  for (const jump of jumps) lines.push(`-I ${jump.from} ${jump.rule}`);
  for (const chain of deletions) lines.push(`-X ${chain}`);
  lines.push('COMMIT', '');
  return lines.join('\n');
}

/** Of a table's chains those that are ours or kube-proxy's, and so are rewritten or removed. */
export function isOurChain(table: TableName, chain: string): boolean {
  return (
    fixedChains[table].includes(chain) ||
    (table !== 'mangle' && serviceChainPrefixes.some((prefix) => chain.startsWith(prefix)))
  );
}
