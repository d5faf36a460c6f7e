/**
 * What one Service is in the table: for each frontend its elements, the chains that they lead to, and a chain of its own for source ranges;
 * for each address an element of a set.
 */
import { hostCidr } from '../../model/address';
import { protocolName } from '../../model/protocol';
import { type Frontend, type PlanEndpoint, type ServicePortPlan, servicePortName } from '../../planner/plan';
import { type FrontendElements, printFrontend, printSlots } from './frontend-text';
import { rangesChain, refuseChain, setNames } from './names';
import type { Rule, SetObject, Statement } from './objects';
import { printValue } from './print';
import { affinityChain, type AffinityLists, renderAffinity } from './render-affinity';
import {
  type Balance,
  type ChainSettings,
  type SharedChain,
  sharedChainName,
  slotSelector,
  withPicks,
} from './shared-chains';
import { assignSlots, type Slots } from './slots';

export interface RenderedFrontend {
  /** As `printFrontend` prints it. */
  readonly text: string;
  readonly sharedChains: readonly SharedChain[];
  readonly ownChains: ReadonlyMap<string, readonly Rule[]>;
}

/** An element that several service ports may have in common. */
export interface PlainElement {
  readonly set: string;
  readonly key: string;
  /** '' in a set. */
  readonly value: string;
}

export interface RenderedPort {
  /**
   * By key: `10.96.0.10 . tcp . 80`, or `tcp . 30080` for a NodePort; `@SET` for a map of slots of the service port's own, which is a list of
   * slots without frontend.
   */
  readonly frontends: ReadonlyMap<string, RenderedFrontend>;
  readonly elements: readonly PlainElement[];
  /** Of the service port alone. */
  readonly chains: ReadonlyMap<string, readonly Rule[]>;
  readonly sets: readonly SetObject[];
}

/** The key of a frontend in the maps. */
export function frontendKey(
  { kind, address, port }: Frontend,
  { protocol }: Pick<ServicePortPlan, 'protocol'>,
): string {
  const end = `${protocolName(protocol)} . ${port}`;
  return kind === 'NodePort' ? end : `${address} . ${end}`;
}

export function isNodePortKey(key: string): boolean {
  return key.indexOf(' . ') === key.lastIndexOf(' . ');
}

export function renderPort(port: ServicePortPlan, settings: ChainSettings): RenderedPort {
  const lists = listsOf(port);
  const frontends = new Map<string, RenderedFrontend>();
  const elements: PlainElement[] = [];
  const affine = port.affinitySeconds > 0 ? affinityLists(lists) : undefined;
  for (const frontend of port.frontends) {
    const key = frontendKey(frontend, port);
    const chain = affine && affinityChain(port, frontend, affine);
    const lead = affine === undefined ? leadToEndpoints(key, frontend, lists) : { chain, ...nowhere };
    frontends.set(key, renderFrontend(key, frontend, lead, servicePortName(port)));
    if (frontend.kind === 'ClusterIP') elements.push({ set: setNames.clusterIPs, key: frontend.address, value: '' });
  }
  for (const address of localAddresses(port))
    elements.push({ set: setNames.hairpin, key: `${address} . ${address}`, value: '' });
  if (affine === undefined) return { frontends, elements, chains: new Map(), sets: [] };
  const { sets, chains, elements: endpoints, slots } = renderAffinity(port, affine, settings);
  for (const [set, values] of slots) frontends.set(`@${set}`, renderSlots(values));
  for (const [set, list] of endpoints) for (const { key, value = '' } of list) elements.push({ set, key, value });
  return { frontends, elements, chains, sets };
}

function listsOf({ clusterEndpoints, localEndpoints, scheduler }: ServicePortPlan): Lists {
  return { cluster: assignSlots(clusterEndpoints, scheduler), local: assignSlots(localEndpoints, scheduler) };
}

/** @param port with session affinity. */
export function affinityListsOf(port: ServicePortPlan): AffinityLists {
  return affinityLists(listsOf(port));
}

function affinityLists({ cluster, local }: Lists): AffinityLists {
  return { cluster: pickFrom(cluster), local: pickFrom(local) };
}

function pickFrom({ by, values }: Slots): AffinityLists['cluster'] {
  return { pick: slotSelector({ by, slots: values.length }), values };
}

/** Of endpoints on this node. A pod on another node is masqueraded there when it connects to itself. */
function localAddresses({ clusterEndpoints, localEndpoints }: ServicePortPlan): ReadonlySet<string> {
  const isHere = ({ isLocal }: PlanEndpoint): boolean => isLocal;
  return new Set([...clusterEndpoints, ...localEndpoints].filter(isHere).map(({ address }) => address));
}

interface Lists {
  readonly cluster: Slots;
  readonly local: Slots;
}

/** Where new connections to a frontend are led, and the endpoints that its elements have. */
interface Lead {
  readonly chain: string | undefined;
  readonly sharedChains: readonly SharedChain[];
  readonly endpoints: FrontendElements['lists'];
}

const nowhere: Omit<Lead, 'chain'> = { sharedChains: [], endpoints: { main: [], local: [] } };

function leadToEndpoints(key: string, frontend: Frontend, lists: Lists): Lead {
  const chain = chainOf(key, frontend, lists);
  if (chain === undefined) return { chain, ...nowhere };
  const local = chain.kind === 'local' && chain.localBalance !== undefined ? lists.local.values : [];
  const main = lists[mainList(chain, frontend)].values;
  return { chain: sharedChainName(chain), sharedChains: withPicks(chain), endpoints: { main, local } };
}

function renderFrontend(key: string, frontend: Frontend, lead: Lead, comment: string): RenderedFrontend {
  const { verdict, sourceRanges } = frontend;
  const ownChains = new Map<string, readonly Rule[]>();
  const leads: { to?: string; refused?: string; ranges?: string } = {};
  if (lead.chain !== undefined) leads.to = printValue({ value: `goto ${lead.chain}`, comment });
  if (verdict.kind !== 'forward')
    leads.refused = printValue({ value: verdict.kind === 'drop' ? 'drop' : `goto ${refuseChain}`, comment });
  if (sourceRanges !== undefined) {
    const ranges = [...sourceRanges, ...(frontend.sourceRangesHaveNode === true ? [hostCidr(frontend.address)] : [])];
    const first = rangesChain(key, ranges);
    leads.ranges = printValue({ value: `goto ${first}`, comment });
    for (const [name, rules] of renderRanges(first, ranges)) ownChains.set(name, rules);
  }
  return { text: printFrontend({ leads, lists: lead.endpoints }), sharedChains: lead.sharedChains, ownChains };
}

function renderSlots(values: readonly string[]): RenderedFrontend {
  return { text: printSlots(values), sharedChains: [], ownChains: new Map() };
}

/** A chain must fit one transaction. */
const rangesPerChain = 100;

/** Sources outside of the ranges are dropped before anything is translated. A long list goes on in further chains. */
function renderRanges(chain: string, ranges: readonly string[]): ReadonlyMap<string, readonly Rule[]> {
  const chains = new Map<string, readonly Rule[]>();
  for (let at = 0; at === 0 || at < ranges.length; at += rangesPerChain) {
    const rules = ranges
      .slice(at, at + rangesPerChain)
      .map(
        (cidr): Rule => ({ statements: [{ kind: 'address', side: 'source', isNot: false, cidr }, { kind: 'return' }] }),
      );
    const next = at + rangesPerChain;
    const last: Statement = next < ranges.length ? { kind: 'goto', chain: `${chain}-${next}` } : { kind: 'drop' };
    chains.set(at === 0 ? chain : `${chain}-${at}`, [...rules, { statements: [last] }]);
  }
  return chains;
}

/** Returns undefined where nobody reaches an endpoint. */
function chainOf(key: string, frontend: Frontend, lists: Lists): SharedChain | undefined {
  const { kind, verdict, masquerade, localSourcesToCluster } = frontend;
  const isNodePort = kind === 'NodePort';
  const owned = (...slots: readonly (Slots | undefined)[]): { owner?: string } =>
    slots.some((one) => one?.by === 'inc') ? { owner: key } : {};
  const cluster = balanceOf(lists.cluster);
  if (localSourcesToCluster && cluster !== undefined) {
    const localBalance = verdict.kind === 'forward' ? balanceOf(lists.local) : undefined;
    const own = owned(lists.cluster, localBalance && lists.local);
    return { kind: 'local', isNodePort, balance: cluster, ...(localBalance && { localBalance }), ...own };
  }
  if (verdict.kind !== 'forward') return undefined;
  const slots = lists[verdict.endpoints];
  const balance = balanceOf(slots);
  return balance && { kind: 'pick', isNodePort, masquerade, balance, ...owned(slots) };
}

function balanceOf({ by, values }: Slots): Balance | undefined {
  return values.length === 0 ? undefined : { by, slots: values.length };
}

/** Which endpoints a chain picks from first. */
function mainList({ kind }: SharedChain, { verdict }: Frontend): 'cluster' | 'local' {
  return kind === 'pick' && verdict.kind === 'forward' ? verdict.endpoints : 'cluster';
}
