/**
 * Turns what differs into writes, in an order in which no working VIP ever stops working:
 *
 *   added first    sets, rules, virtual servers with their destinations, marks, addresses of kube-ipvs0
 *   removed last   destinations and virtual servers, addresses, rules, entries of sets
 *
 * When rules of iptables mode are still there, they are removed only after everything else is in place. A packet that they translate
 * does not reach IPVS.
 */
import type { KernelRules } from '../../xtables/kernel-rules';
import { isServiceChain } from '../../xtables/known-chains';
import { emptyStep, slices, type Step, tableNames, type TableStep } from '../../xtables/rules';
import type { Pieces } from '../../model/pieces';
import type { DesiredState } from './desired-state';
import { printSetAdditions, printSetRemovals, type SetWrites } from './sets/ipset-text';
import { changeServer } from './servers/server-text';
import type { ServerDestination, ServerWrite } from './servers/virtual-server';

export type Stage =
  | { readonly kind: 'sets'; readonly writes: SetWrites; readonly input: string }
  | { readonly kind: 'rules'; readonly step: Step }
  | {
      readonly kind: 'servers';
      readonly writes: readonly ServerWrite[];
      /** The servers' texts after the write. undefined: the server is gone. */
      readonly texts: ReadonlyMap<string, string | undefined>;
      /** Destinations that begin to drain. */
      readonly draining: readonly ServerDestination[];
    }
  | { readonly kind: 'bind' | 'unbind'; readonly addresses: readonly string[] };

export type IpvsBatch = readonly Stage[];

/** In pieces of one server. */
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
    // An element with a mark is removed after the server of the mark: until then it tells whose that server is. Meanwhile IPVS uses the VIP's server.
    ...(sets === undefined ? [] : removalsOf(sets)),
  ];
}

/**
 * Whether the element must come after the virtual servers. An element that gives a mark leads clients to the server of that mark,
 * which must be complete by then. The same holds for an element by which clients without a mark are dropped.
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

/** Whether the element belongs to the set by which clients without a mark are dropped. */
function isDrop(element: string): boolean {
  return /^KUBE-(6-)?IPVS-DROP /.test(element);
}

/** The elements that drop clients without a mark are removed first. So a client that loses its mark is not dropped. */
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

/** A TCP destination keeps its connections until they end. A UDP or SCTP destination would keep clients on a pod that is gone. */
function* planServers(state: DesiredState): Pieces<ServerStages> {
  const { updates, deletions } = state.servers.pending();
  const additions: ServerWrite[] = [];
  const removals: ServerWrite[] = [];
  const between = new Map<string, string | undefined>();
  const after = new Map<string, string | undefined>();
  const begins: ServerDestination[] = [];
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
    drains: readonly ServerDestination[],
  ): Stage[] => (writes.length === 0 ? [] : [{ kind: 'servers', writes, texts, draining: drains }]);
  return { additions: stage(additions, between, []), removals: stage(removals, after, begins) };
}

/** The many chains of iptables mode are removed in several calls. They jump to each other, so all are emptied first. */
const chainsPerCall = 1000;

function planRules(state: DesiredState, rules: KernelRules): { readonly written: Step[]; readonly removed: Step[] } {
  const written: TableStep[] = [];
  const withoutJumps: TableStep[] = [];
  const removed: Step[] = [];
  for (const table of tableNames) {
    const { updates, deletions } = state.tables[table].pending();
    const jumps = rules.missingJumps.filter((jump) => jump.table === table);
    const staleJumps = rules.staleJumps.filter((jump) => jump.table === table);
    if (updates.size + jumps.length > 0) written.push({ ...emptyStep(table), chains: [...updates], jumps });
    if (staleJumps.length > 0) withoutJumps.push({ ...emptyStep(table), staleJumps });
    const gone = [...deletions].filter((chain) => !rules.usedByOthers.has(chain));
    for (const chains of slices([...deletions], chainsPerCall))
      removed.push({ title: 'empty', tables: [{ ...emptyStep(table), chains: chains.map((chain) => [chain, '']) }] });
    for (const some of slices(gone, chainsPerCall))
      removed.push({ title: 'removals', tables: [{ ...emptyStep(table), deletions: some }] });
  }
  if (withoutJumps.length > 0) removed.unshift({ title: 'jumps', tables: withoutJumps });
  return { written: written.length === 0 ? [] : [{ title: 'rules', tables: written }], removed };
}
