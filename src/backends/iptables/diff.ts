/** Turns what differs into calls of iptables-restore. After each call the rules are right. */
import type { Pending } from '../../delta/delta-tracker';
import type { KernelRules, RuleTables } from '../../xtables/kernel-rules';
import { isServiceChain, parseServiceChain, sharedChain, targetChains } from '../../xtables/known-chains';
import {
  emptyStep,
  type Jump,
  slices,
  type Step,
  type TableName,
  tableNames,
  type TableStep,
} from '../../xtables/rules';
import type { RuleSet } from './desired-state';

/**
 * In the nft variant the time of a call grows with the square of the number of its chains. The legacy variant rewrites the whole table
 * at each call.
 */
export const chainsPerCall = { nft: 1000, legacy: Number.POSITIVE_INFINITY } as const;

type ChainLines = [chain: string, lines: string];
type TableRules = RuleTables[TableName];
type SeenJumps = Pick<KernelRules, 'missingJumps' | 'staleJumps'>;
type SeenRules = SeenJumps & Pick<KernelRules, 'usedByOthers'>;

/** Everything that is to be written. */
interface Differences extends SeenJumps {
  readonly tables: Readonly<Record<TableName, Pending<string, string>>>;
  readonly appends: readonly ChainLines[];
}

/** The changed nat chains of a large write, by the step that writes them. */
interface NatChains {
  readonly hairpin: ChainLines[];
  readonly marks: ChainLines[];
  /** Services' chains, and dispatch chains to which nothing leads yet. */
  readonly services: ChainLines[];
  /** All chains that lead to the others. */
  readonly dispatch: ChainLines[];
}

/** The chains of a large write in the order of its calls. Where one call may not be enough, there is one list for each call. */
interface OrderedChains {
  readonly hairpin: Iterable<ChainLines[]>;
  readonly marks: readonly ChainLines[];
  readonly services: Iterable<ChainLines[]>;
  readonly dispatch: readonly ChainLines[];
  readonly removals: readonly Pick<TableStep, 'table' | 'deletions'>[];
}

/**
 * A small write is one call. A large one writes the marks first, then Services' chains and dispatch chains to which nothing leads yet,
 * then in one call all that leads to them. What is no longer needed is removed last.
 */
export function planSteps(rules: RuleSet, kernel: SeenRules, limit: number): Step[] {
  const differences = findDifferences(rules, kernel);
  const pending = tableNames.map((table) => differences.tables[table]);
  const count = pending.reduce((sum, { updates, deletions }) => sum + updates.size + deletions.size, 0);
  if (count + kernel.missingJumps.length + kernel.staleJumps.length === 0) return [];
  if (count <= limit) return [{ title: 'all', tables: tableSteps(rules, differences) }];
  const chains = classifyChains(rules, differences.tables.nat);
  return renderSteps(rules, differences, orderChains(rules, differences, chains, limit));
}

function findDifferences({ tables }: RuleSet, { missingJumps, staleJumps, usedByOthers }: SeenRules): Differences {
  const pendingOf = (table: TableName): Pending<string, string> => keepUsed(tables[table].pending(), usedByOthers);
  const filter = pendingOf('filter');
  const appends = chooseAppends(tables.filter, filter);
  return { tables: { nat: pendingOf('nat'), filter, mangle: pendingOf('mangle') }, appends, missingJumps, staleJumps };
}

/** The kernel refuses to delete a chain to which others jump. Such a chain is emptied instead. */
function keepUsed({ updates, deletions }: Pending<string, string>, used: ReadonlySet<string>): Pending<string, string> {
  const kept = [...deletions].filter((chain) => used.has(chain));
  if (kept.length === 0) return { updates, deletions };
  return {
    updates: new Map([...updates, ...kept.map((chain): ChainLines => [chain, ''])]),
    deletions: new Set([...deletions].filter((chain) => !used.has(chain))),
  };
}

/** When the chain that is shared with the kubelet exists, our rule is added to its rules. */
function chooseAppends(filter: TableRules, { updates }: Pending<string, string>): readonly ChainLines[] {
  const lines = updates.get(sharedChain);
  return lines === undefined || filter.getObserved(sharedChain) === undefined ? [] : [[sharedChain, lines]];
}

function classifyChains({ tables: { nat } }: RuleSet, { updates, deletions }: Pending<string, string>): NatChains {
  const rewired = chooseRewired(updates, deletions, nat);
  const classes: NatChains = { hairpin: [], marks: [], services: [], dispatch: [] };
  for (const entry of updates) {
    const [chain, lines] = entry;
    const observed = nat.getObserved(chain);
    const portHash = portHashOf(chain);
    if (chain === 'KUBE-MARK-MASQ' || chain === 'KUBE-POSTROUTING') classes.marks.push(entry);
    else if (isHairpinChain(chain)) {
      // It holds the old and the new endpoints until no packet is sent to the old ones. A needless mark does no harm.
      const both = joinLines(lines, observed ?? '');
      classes.hairpin.push([chain, both]);
      if (both !== lines) classes.dispatch.push(entry);
    } else if (observed === undefined ? isServiceChain(chain) : portHash !== undefined && !rewired.has(portHash))
      classes.services.push(entry);
    else classes.dispatch.push(entry);
  }
  return classes;
}

function orderChains(
  rules: RuleSet,
  { tables }: Differences,
  { hairpin, marks, services, dispatch }: NatChains,
  limit: number,
): OrderedChains {
  const removals = (['nat', 'filter'] as const).flatMap((table) => {
    const chains = jumpersFirst(tables[table].deletions, rules.tables[table]);
    return [...slices(chains, limit)].map((deletions) => ({ table, deletions }));
  });
  return {
    hairpin: slices(leavesFirst(hairpin), limit),
    marks,
    services: slicesByPort(leavesFirst(services), limit),
    dispatch,
    removals,
  };
}

function renderSteps(rules: RuleSet, differences: Differences, chains: OrderedChains): Step[] {
  const { tables, missingJumps, staleJumps } = differences;
  const postrouting = missingJumps.filter((jump) => jump.from === 'POSTROUTING');
  const otherJumps = missingJumps.filter((jump) => jump.from !== 'POSTROUTING');
  const natStep = (title: string, some: readonly ChainLines[], jumps: readonly Jump[] = []): Step => ({
    title,
    tables: [{ ...emptyStep('nat'), chains: some, jumps }],
  });
  const steps: Step[] = [];
  for (const some of chains.hairpin) steps.push(natStep('marks', some));
  if (chains.marks.length + postrouting.length > 0) steps.push(natStep('marks', chains.marks, postrouting));
  for (const some of chains.services) steps.push(natStep('services', some));
  const nat = { updates: new Map(chains.dispatch), deletions: new Set<string>() };
  const filter = { updates: tables.filter.updates, deletions: new Set<string>() };
  const dispatch = tableSteps(rules, {
    tables: { nat, filter, mangle: tables.mangle },
    appends: differences.appends,
    missingJumps: otherJumps,
    staleJumps: [],
  });
  if (dispatch.length > 0) steps.push({ title: 'dispatch', tables: dispatch });
  const withoutJumps = tableNames.flatMap((table) => staleJumpStep(table, staleJumps));
  if (withoutJumps.length > 0) steps.push({ title: 'removals', tables: withoutJumps });
  for (const { table, deletions } of chains.removals)
    steps.push({ title: 'removals', tables: [{ ...emptyStep(table), deletions }] });
  return steps;
}

/**
 * nat is written between two writes of filter. What is newly refused is refused before nat stops forwarding it, and what was refused
 * until now stays so until nat forwards it. In between filter has both. This is harmless, because packets that nat has translated
 * no longer have the VIP as their destination in filter.
 */
function tableSteps(rules: RuleSet, { tables, appends, missingJumps, staleJumps }: Differences): TableStep[] {
  const stepOf = (table: TableName, chains: readonly ChainLines[]): TableStep => ({
    ...emptyStep(table),
    chains,
    deletions: [...tables[table].deletions],
    jumps: missingJumps.filter((jump) => jump.table === table),
    staleJumps: staleJumps.filter((jump) => jump.table === table),
  });
  const chains = [...tables.filter.updates].filter(([chain]) => !appends.some(([other]) => other === chain));
  const observed = (chain: string): string => rules.tables.filter.getObserved(chain) ?? '';
  const both = new Map(chains.map(([chain, lines]) => [chain, joinLines(lines, observed(chain))]));
  const isNew = (chain: string): boolean => rules.tables.filter.getObserved(chain) === undefined;
  const first = [...both].filter(([chain, lines]) => isNew(chain) || lines !== observed(chain));
  const last = chains.filter(([chain, lines]) => both.get(chain) !== lines);
  const natStep = stepOf('nat', [...tables.nat.updates]);
  const filterStep = { ...stepOf('filter', chains), appends };
  const steps: TableStep[] = isEmpty(natStep)
    ? [filterStep]
    : [
        { ...filterStep, chains: first, deletions: [], staleJumps: [] },
        natStep,
        { ...filterStep, chains: last, appends: [], jumps: [] },
      ];
  steps.push(stepOf('mangle', [...tables.mangle.updates]));
  return steps.filter((step) => !isEmpty(step));
}

function isEmpty({ chains, appends, deletions, jumps, staleJumps = [] }: TableStep): boolean {
  return [chains, appends, deletions, jumps, staleJumps].every((part) => part.length === 0);
}

function staleJumpStep(table: TableName, jumps: readonly Jump[]): TableStep[] {
  const staleJumps = jumps.filter((jump) => jump.table === table);
  return staleJumps.length === 0 ? [] : [{ ...emptyStep(table), staleJumps }];
}

function isHairpinChain(chain: string): boolean {
  return chain.startsWith('KUBE-SEP-') && portHashOf(chain) === undefined;
}

/** The lines of the first text, then those that only the second has. */
function joinLines(first: string, second: string): string {
  return [...new Set([...first.split('\n'), ...second.split('\n')])].filter((line) => line !== '').join('\n');
}

/** Returns the hash in the name of a service port's chain, '' for a KUBE-SEP chain, or undefined for any other chain. */
function portHashOf(chain: string): string | undefined {
  const { kind, hash } = parseServiceChain(chain) ?? {};
  return kind === 'SEP' ? '' : hash;
}

function isOfServicePort(chain: string): boolean {
  return (portHashOf(chain) ?? '') !== '';
}

/**
 * The service ports to which dispatch will lead by other chains than before, for example KUBE-FW instead of KUBE-EXT. For the old
 * dispatch their new chains would be wrong, so they are written together with the new dispatch.
 */
function chooseRewired(
  updates: ReadonlyMap<string, string>,
  deletions: ReadonlySet<string>,
  nat: TableRules,
): ReadonlySet<string> {
  const before = new Set<string>();
  const after = new Set<string>();
  const collect = (targets: Set<string>, lines: string | undefined): void => {
    for (const target of targetChains(lines ?? '')) if (isOfServicePort(target)) targets.add(target);
  };
  for (const [chain, lines] of updates) {
    if (portHashOf(chain) !== undefined) continue;
    collect(after, lines);
    collect(before, nat.getObserved(chain));
  }
  for (const chain of deletions) if (portHashOf(chain) === undefined) collect(before, nat.getObserved(chain));
  const differing = [...before, ...after].filter((target) => before.has(target) !== after.has(target));
  return new Set(differing.map((target) => portHashOf(target) ?? ''));
}

/** Sorts chains so that each comes after the chains that it jumps to. A chain must exist before a rule jumps to it. */
function leavesFirst(chains: ChainLines[]): ChainLines[] {
  const byName = new Map(chains);
  const out: ChainLines[] = [];
  const visit = (chain: string): void => {
    const lines = byName.get(chain);
    if (lines === undefined) return;
    byName.delete(chain);
    for (const target of targetChains(lines)) visit(target);
    out.push([chain, lines]);
  };
  for (const [chain] of chains) visit(chain);
  return out;
}

/** Sorts chains so that each comes before the chains that it jumps to. */
function jumpersFirst(chains: ReadonlySet<string>, rules: TableRules): string[] {
  const withLines = [...chains].map((chain): ChainLines => [chain, rules.getObserved(chain) ?? '']);
  return leavesFirst(withLines)
    .map(([chain]) => chain)
    .reverse();
}

/** Slices of about `size` chains. All chains of a service port are in the same slice. */
function* slicesByPort(chains: readonly ChainLines[], size: number): Generator<ChainLines[]> {
  let slice: ChainLines[] = [];
  for (let at = 0; at < chains.length; ) {
    const hash = portHashOf(chains[at]?.[0] ?? '');
    let end = at + 1;
    if (hash !== undefined && hash !== '')
      while (end < chains.length && portHashOf(chains[end]?.[0] ?? '') === hash) end++;
    if (slice.length > 0 && slice.length + end - at > size) {
      yield slice;
      slice = [];
    }
    slice.push(...chains.slice(at, end));
    at = end;
  }
  if (slice.length > 0) yield slice;
}
