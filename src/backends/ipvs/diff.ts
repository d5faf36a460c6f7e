/**
 * From what differs to writes, in an order in which no VIP that works ever stops to:
 *
 *   what comes   sets, rules, virtual servers with their destinations, marks, addresses of kube-ipvs0
 *   what goes    destinations and virtual servers, addresses, rules, entries of sets
 *
 * Where rules of iptables mode still stand, they come to an end when all else is in place: a packet that they translate
 * does not meet IPVS.
 */
import type { KernelRules } from '../../xtables/kernel-rules';
import { isServiceChain } from '../../xtables/known-chains';
import { slices, type Step, type TableName, tableNames, type TableStep } from '../../xtables/rules';
import type { Pieces } from '../../model/pieces';
import type { DesiredState } from './desired-state';
import { printSetAdditions, printSetRemovals, type SetWrites } from './sets/ipset-text';
import { changeServer } from './servers/server-text';
import type { ServerWrite } from './servers/virtual-server';

export type Stage =
  | { readonly kind: 'sets'; readonly writes: SetWrites; readonly input: string }
  | { readonly kind: 'rules'; readonly step: Step }
  | {
      readonly kind: 'servers';
      readonly writes: readonly ServerWrite[];
      /** What they are then; undefined: gone. */
      readonly texts: ReadonlyMap<string, string | undefined>;
      /** Destinations that begin to drain. */
      readonly draining: readonly { readonly server: string; readonly destination: string }[];
    }
  | { readonly kind: 'bind' | 'unbind'; readonly addresses: readonly string[] };

export type IpvsBatch = readonly Stage[];

/** A server at a time. */
export function* planStagesInPieces(state: DesiredState, rules: KernelRules): Pieces<Stage[]> {
  const sets = state.sets.pendingWrites();
  const addresses = state.addresses.pending();
  const { written, removed } = planRules(state, rules);
  const servers = yield* planServers(state);
  const bind: Stage[] =
    addresses.updates.size === 0 ? [] : [{ kind: 'bind', addresses: [...addresses.updates.keys()] }];
  const [plain, marking] = splitAdditions(sets);
  const added: Stage[] = [...servers.additions, ...marking, ...bind];
  const isTakenOver = removed.some(({ tables }) => tables.some(({ deletions }) => deletions.some(isServiceChain)));
  const asStage = (step: Step): Stage => ({ kind: 'rules', step });
  const ruleStages = written.map(asStage);
  return [
    ...plain,
    ...(isTakenOver ? [...added, ...ruleStages] : [...ruleStages, ...added]),
    ...servers.removals,
    ...(addresses.deletions.size === 0 ? [] : [{ kind: 'unbind', addresses: [...addresses.deletions] } as const]),
    ...removed.map(asStage),
    // What gives a mark goes after the server of the mark, and tells until then whose that server is. IPVS falls back to the VIP's own.
    ...(sets === undefined ? [] : removalsOf(sets)),
  ];
}

/**
 * Elements that give a mark lead clients away from what they reach, so the server of the mark is complete by then. So is that of
 * the mark where clients who have none are dropped.
 */
function isLate(element: string, options: string): boolean {
  return options !== '' || isDrop(element);
}

function splitAdditions(writes: SetWrites | undefined): readonly [plain: Stage[], marking: Stage[]] {
  if (writes === undefined) return [[], []];
  const plain = new Map<string, string>();
  const marking = new Map<string, string>();
  for (const [element, options] of writes.additions) (isLate(element, options) ? marking : plain).set(element, options);
  const none = { creates: [], deletionsFirst: [], deletions: [], destroys: [] };
  return [
    additionsOf({ ...writes, additions: plain, deletions: [], destroys: [] }),
    additionsOf({ ...none, additions: marking }),
  ];
}

function additionsOf(writes: SetWrites): Stage[] {
  const input = printSetAdditions(writes);
  return input === '' ? [] : [{ kind: 'sets', writes, input }];
}

/** Of a set by which clients without a mark are dropped. */
function isDrop(element: string): boolean {
  return /^KUBE-(6-)?IPVS-DROP /.test(element);
}

/** What drops those without a mark goes first: one that loses its mark is not dropped then. */
function removalsOf(writes: SetWrites): Stage[] {
  const deletions = writes.deletions.toSorted((a, b) => Number(isDrop(b)) - Number(isDrop(a)));
  const now = { ...writes, deletions, creates: [], deletionsFirst: [], additions: new Map<string, string>() };
  const input = printSetRemovals(now);
  return input === '' ? [] : [{ kind: 'sets', writes: now, input }];
}

interface ServerStages {
  readonly additions: Stage[];
  readonly removals: Stage[];
}

/** A destination of TCP keeps its connections until they end; one of UDP or SCTP would keep clients on a pod that is gone. */
function* planServers(state: DesiredState): Pieces<ServerStages> {
  const { updates, deletions } = state.servers.pending();
  const additions: ServerWrite[] = [];
  const removals: ServerWrite[] = [];
  const between = new Map<string, string | undefined>();
  const after = new Map<string, string | undefined>();
  const begins: { server: string; destination: string }[] = [];
  for (const [server, desired] of updates) {
    yield;
    const observed = state.servers.getObserved(server);
    const change = changeServer(server, desired, observed);
    for (const addition of change.additions) additions.push(addition);
    if (change.removals.size === 0) {
      between.set(server, desired);
      continue;
    }
    if (change.additions.length > 0) between.set(server, [desired, ...change.removals.values()].join('\n'));
    after.set(server, desired);
    const drains = state.protocolOf(server) === 'TCP';
    for (const destination of change.removals.keys()) {
      if (!drains) removals.push({ op: 'delete-destination', server, destination });
      else {
        removals.push({ op: 'edit-destination', server, destination, weight: 0 });
        begins.push({ server, destination });
      }
    }
  }
  for (const server of deletions) {
    removals.push({ op: 'delete-server', server });
    after.set(server, undefined);
  }
  const stage = (
    writes: readonly ServerWrite[],
    texts: ReadonlyMap<string, string | undefined>,
    drains: typeof begins,
  ): Stage[] => (writes.length === 0 ? [] : [{ kind: 'servers', writes, texts, draining: drains }]);
  return { additions: stage(additions, between, []), removals: stage(removals, after, begins) };
}

/** A large one, of iptables mode, goes in pieces: with it goes what leads from one chain to another, so all are emptied first. */
const chainsPerCall = 1000;

function planRules(state: DesiredState, rules: KernelRules): { readonly written: Step[]; readonly removed: Step[] } {
  const written: TableStep[] = [];
  const withoutJumps: TableStep[] = [];
  const removed: Step[] = [];
  for (const table of tableNames) {
    const { updates, deletions } = state.tables[table].pending();
    const jumps = rules.missingJumps.filter((jump) => jump.table === table);
    const staleJumps = rules.staleJumps.filter((jump) => jump.table === table);
    if (updates.size + jumps.length > 0) written.push({ ...nothing(table), chains: [...updates], jumps });
    if (staleJumps.length > 0) withoutJumps.push({ ...nothing(table), staleJumps });
    const gone = [...deletions].filter((chain) => !rules.usedByOthers.has(chain));
    for (const chains of slices([...deletions], chainsPerCall))
      removed.push({ title: 'empty', tables: [{ ...nothing(table), chains: chains.map((chain) => [chain, '']) }] });
    for (const some of slices(gone, chainsPerCall))
      removed.push({ title: 'removals', tables: [{ ...nothing(table), deletions: some }] });
  }
  if (withoutJumps.length > 0) removed.unshift({ title: 'jumps', tables: withoutJumps });
  return { written: written.length === 0 ? [] : [{ title: 'rules', tables: written }], removed };
}

function nothing(table: TableName): TableStep {
  return { table, chains: [], appends: [], deletions: [], jumps: [] };
}
