/** From what differs to calls of iptables-restore, each of which is right by itself. */
import type { Pending } from '../../delta/delta-tracker';
import type { KernelRules } from '../../xtables/kernel-rules';
import { serviceChainPrefixes, sharedChain } from '../../xtables/known-chains';
import { type Jump, slices, type Step, type TableName, tableNames, type TableStep } from '../../xtables/rules';
import type { RuleSet } from './rule-set';

/**
 * In the nft variant one call's time grows with the square of the chains in it; the legacy variant rewrites the whole table at each
 * call.
 */
export const chainsPerCall = { nft: 1000, legacy: Number.POSITIVE_INFINITY } as const;

type ChainLines = [chain: string, lines: string];
type Differences = Readonly<Record<TableName, Pending<string, string>>>;

/**
 * Small: one call. Large: marks first, then Services' chains and such dispatch as nothing leads to yet, then all that leads
 * to them in one call, and what nobody needs any more last.
 */
export function planSteps(
  rules: RuleSet,
  { missingJumps, staleJumps, usedByOthers }: Pick<KernelRules, 'missingJumps' | 'staleJumps' | 'usedByOthers'>,
  limit: number,
): Step[] {
  const differences = Object.fromEntries(
    tableNames.map((table) => [table, keepUsed(rules.tables[table].pending(), usedByOthers)]),
  ) as unknown as Differences;
  const appends = chooseAppends(rules, differences);
  const changes = tableNames.map((table) => differences[table].updates.size + differences[table].deletions.size);
  const count = changes.reduce((sum, more) => sum + more, 0);
  if (count + missingJumps.length + staleJumps.length === 0) return [];
  if (count <= limit)
    return [{ title: 'all', tables: tableSteps(rules, differences, missingJumps, appends, staleJumps) }];

  const { nat } = rules.tables;
  const { updates, deletions } = differences.nat;
  const rewired = chooseRewired(updates, deletions, nat);
  const early: ChainLines[] = [];
  const late: ChainLines[] = [];
  const marks: ChainLines[] = [];
  const hairpin: ChainLines[] = [];
  for (const entry of updates) {
    const [chain] = entry;
    const isNew = nat.getObserved(chain) === undefined;
    const portHash = portHashOf(chain);
    if (chain === 'KUBE-MARK-MASQ' || chain === 'KUBE-POSTROUTING') marks.push(entry);
    else if (isHairpinChain(chain)) {
      // Endpoints that go and those that come, until nobody is sent to the ones that go: a mark more does no harm.
      const both = joinLines(entry[1], nat.getObserved(chain) ?? '');
      hairpin.push([chain, both]);
      if (both !== entry[1]) late.push(entry);
    } else if (isNew ? isCollectable(chain) : portHash !== undefined && !rewired.has(portHash)) early.push(entry);
    else late.push(entry);
  }
  const postrouting = missingJumps.filter((jump) => jump.from === 'POSTROUTING');
  const otherJumps = missingJumps.filter((jump) => jump.from !== 'POSTROUTING');
  const natStep = (title: string, chains: ChainLines[], jumps: readonly Jump[] = []): Step => ({
    title,
    tables: [{ table: 'nat', chains, appends: [], deletions: [], jumps }],
  });
  const steps: Step[] = [];
  for (const chains of slices(leavesFirst(hairpin), limit)) steps.push(natStep('marks', chains));
  if (marks.length + postrouting.length > 0) steps.push(natStep('marks', marks, postrouting));
  for (const chains of slicesByPort(leavesFirst(early), limit)) steps.push(natStep('services', chains));
  const rest = { ...differences, nat: { updates: new Map(late), deletions: new Set<string>() } };
  const filter = { updates: differences.filter.updates, deletions: new Set<string>() };
  const dispatch = tableSteps(rules, { ...rest, filter }, otherJumps, appends);
  if (dispatch.length > 0) steps.push({ title: 'dispatch', tables: dispatch });
  const withoutJumps = tableNames.flatMap((table) => staleJumpStep(table, staleJumps));
  if (withoutJumps.length > 0) steps.push({ title: 'removals', tables: withoutJumps });
  for (const table of ['nat', 'filter'] as const) {
    const stale = [...differences[table].deletions].map(
      (chain): ChainLines => [chain, rules.tables[table].getObserved(chain) ?? ''],
    );
    // Whoever jumps goes before the chain that it jumps to.
    const jumpersFirst = leavesFirst(stale)
      .map(([chain]) => chain)
      .reverse();
    for (const deletions of slices(jumpersFirst, limit))
      steps.push({ title: 'removals', tables: [{ table, chains: [], appends: [], deletions, jumps: [] }] });
  }
  return steps;
}

/** The kernel refuses to delete a chain that others jump to: it is emptied instead. */
function keepUsed({ updates, deletions }: Pending<string, string>, used: ReadonlySet<string>): Pending<string, string> {
  const kept = [...deletions].filter((chain) => used.has(chain));
  if (kept.length === 0) return { updates, deletions };
  return {
    updates: new Map([...updates, ...kept.map((chain): ChainLines => [chain, ''])]),
    deletions: new Set([...deletions].filter((chain) => !used.has(chain))),
  };
}

/** The chain that is shared with the kubelet, where it is there, gets our rule beside what it has. */
function chooseAppends(rules: RuleSet, { filter }: Differences): readonly ChainLines[] {
  const lines = filter.updates.get(sharedChain);
  return lines === undefined || rules.tables.filter.getObserved(sharedChain) === undefined
    ? []
    : [[sharedChain, lines]];
}

/**
 * nat between two writes of filter: what is refused from now on is so before nat lets go of it, and what was refused until now is so
 * until nat takes it. In the middle filter has both, which is harmless: packets that nat took do not meet their VIP there.
 */
function tableSteps(
  rules: RuleSet,
  { nat, filter, mangle }: Differences,
  jumps: readonly Jump[],
  appends: readonly ChainLines[],
  staleJumps: readonly Jump[] = [],
): TableStep[] {
  const staleOf = (table: TableName): Jump[] => staleJumps.filter((jump) => jump.table === table);
  const jumpsOf = (table: TableName): Jump[] => jumps.filter((jump) => jump.table === table);
  const chains = [...filter.updates].filter(([chain]) => !appends.some(([other]) => other === chain));
  const observed = (chain: string): string => rules.tables.filter.getObserved(chain) ?? '';
  const both = new Map(chains.map(([chain, lines]) => [chain, joinLines(lines, observed(chain))]));
  const isNew = (chain: string): boolean => rules.tables.filter.getObserved(chain) === undefined;
  const first = [...both].filter(([chain, lines]) => isNew(chain) || lines !== observed(chain));
  const last = chains.filter(([chain, lines]) => both.get(chain) !== lines);
  const natStep = {
    table: 'nat',
    chains: [...nat.updates],
    appends: [],
    deletions: [...nat.deletions],
    jumps: jumpsOf('nat'),
    staleJumps: staleOf('nat'),
  } as const;
  const filterStep = {
    table: 'filter',
    chains,
    appends,
    deletions: [...filter.deletions],
    jumps: jumpsOf('filter'),
    staleJumps: staleOf('filter'),
  } as const;
  const steps: TableStep[] = isEmpty(natStep)
    ? [filterStep]
    : [
        { ...filterStep, chains: first, deletions: [], staleJumps: [] },
        natStep,
        { ...filterStep, chains: last, appends: [], jumps: [] },
      ];
  steps.push({
    table: 'mangle',
    chains: [...mangle.updates],
    appends: [],
    deletions: [...mangle.deletions],
    jumps: [],
    staleJumps: staleOf('mangle'),
  });
  return steps.filter((step) => !isEmpty(step));
}

function isEmpty({ chains, appends, deletions, jumps, staleJumps = [] }: TableStep): boolean {
  return [chains, appends, deletions, jumps, staleJumps].every((part) => part.length === 0);
}

function staleJumpStep(table: TableName, jumps: readonly Jump[]): TableStep[] {
  const staleJumps = jumps.filter((jump) => jump.table === table);
  return staleJumps.length === 0 ? [] : [{ table, chains: [], appends: [], deletions: [], jumps: [], staleJumps }];
}

/** One of those that kube-proxy collects. */
function isCollectable(chain: string): boolean {
  return serviceChainPrefixes.some((prefix) => chain.startsWith(prefix));
}

function isHairpinChain(chain: string): boolean {
  return chain.startsWith('KUBE-SEP-') && portHashOf(chain) === undefined;
}

/** Those of the first, then what else the second has. */
function joinLines(first: string, second: string): string {
  return [...new Set([...first.split('\n'), ...second.split('\n')])].filter((line) => line !== '').join('\n');
}

/** The hash of a service port's chain; '' for a chain of endpoints, undefined for any other. */
function portHashOf(chain: string): string | undefined {
  const [, kind, hash] = /^KUBE-(SVC|SVL|EXT|FW|SEP)-([A-Z2-7]{16})$/.exec(chain) ?? [];
  return kind === 'SEP' ? '' : hash;
}

/**
 * Service ports that dispatch leads into by other chains than before (KUBE-FW in the place of KUBE-EXT, say). Their chains mean
 * something else to the old dispatch, and so are written together with the new one.
 */
function chooseRewired(
  updates: ReadonlyMap<string, string>,
  deletions: ReadonlySet<string>,
  nat: RuleSet['tables']['nat'],
): ReadonlySet<string> {
  const before = new Set<string>();
  const after = new Set<string>();
  const collect = (targets: Set<string>, lines: string | undefined): void => {
    for (const [, target] of (lines ?? '').matchAll(/ -j (KUBE-(?:SVC|SVL|EXT|FW)-[A-Z2-7]{16})$/gm))
      targets.add(target ?? '');
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

/** All chains of a service port go in one call. */
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
