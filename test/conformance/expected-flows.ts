/** What a Plan promises to clients of its frontends, read off the Plan alone, and how it compares with traced packets. */
import { cidrContains, familyOf, parseCidr } from '../../src/model/address';
import type { LocalDetector } from '../../src/model/local-detector';
import type { Frontend, Plan, PlanEndpoint, ServicePortPlan } from '../../src/planner/plan';
import type { Connection, Outcome } from '../../src/trace/packet';
import type { TracedNode } from '../support/trace-iptables-node';

export interface Client {
  readonly name: string;
  readonly source: string;
  /** '' for the node itself. */
  readonly device: string;
}

export type Flow =
  | { readonly kind: 'refused' | 'untouched' }
  | { readonly kind: 'dropped'; readonly why: 'source ranges' | 'no local endpoints' }
  /** Each endpoint gets an equal share. */
  | {
      readonly kind: 'forwarded';
      readonly list: 'cluster' | 'local';
      readonly endpoints: readonly PlanEndpoint[];
      readonly isMasqueraded: boolean;
    };

/** What a client asks for. */
export interface Ask {
  readonly address: string;
  readonly port: number;
  readonly protocol: Connection['protocol'];
}

export const keyOf = ({ address, port, protocol }: Ask): string => `${address} ${protocol} ${port}`;

function isIn(cidrText: string, address: string): boolean {
  const cidr = parseCidr(cidrText);
  return cidr !== undefined && cidrContains(cidr, address);
}

function isLocalPod(detector: LocalDetector, { source, device }: Client): boolean {
  switch (detector.kind) {
    case 'none':
      return false;
    case 'cidr':
      return isIn(detector.cidr, source);
    case 'interface':
      return device === detector.name;
    case 'interface-prefix':
      return device.startsWith(detector.prefix);
  }
}

/** Hairpin connections are left out: an endpoint that is also the client always sees the node's address. */
function expectFlow(plan: Plan, port: ServicePortPlan, frontend: Frontend, client: Client): Flow {
  const { verdict, masquerade, sourceRanges, address } = frontend;
  const isNode = client.device === '';
  // kube-proxy does not hook KUBE-EXTERNAL-SERVICES to OUTPUT, and neither do we: the node's own packets go on their way.
  const isUnasked = isNode && (frontend.kind === 'ExternalIP' || frontend.kind === 'LoadBalancer');
  if (verdict.kind === 'reject') return { kind: isUnasked ? 'untouched' : 'refused' };
  const isVipItself = frontend.sourceRangesHaveNode === true && client.source === address;
  if (sourceRanges !== undefined && !isVipItself && !sourceRanges.some((range) => isIn(range, client.source)))
    return { kind: 'dropped', why: 'source ranges' };
  const isPod = isLocalPod(plan.settings.localDetector[familyOf(client.source)], client);
  if (frontend.localSourcesToCluster && (isPod || isNode))
    return { kind: 'forwarded', list: 'cluster', endpoints: port.clusterEndpoints, isMasqueraded: isNode };
  if (verdict.kind === 'drop')
    return isUnasked && sourceRanges === undefined ? { kind: 'untouched' } : { kind: 'dropped', why: verdict.why };
  const { endpoints: list } = verdict;
  const endpoints = list === 'cluster' ? port.clusterEndpoints : port.localEndpoints;
  const isMasqueraded = masquerade === 'always' || (masquerade === 'not-local-pods' && !isPod);
  return { kind: 'forwarded', list, endpoints, isMasqueraded };
}

export interface Promised {
  readonly ask: Ask;
  /** More than one if several Services claim the same address and port. One of them serves. */
  readonly flows: readonly Flow[];
  /** All endpoints of the claimants, in any list and under any policy. */
  readonly endpoints: readonly PlanEndpoint[];
}

/** Keyed by what is asked for. NodePorts are at `nodeAddress`. */
export function promises(plan: Plan, client: Client, nodeAddress: string): ReadonlyMap<string, Promised> {
  const all = new Map<string, Promised>();
  const given = plan.settings.nodePortAddresses[plan.family];
  const nodePortsAt = given.kind === 'all' ? [nodeAddress] : given.addresses;
  for (const port of [...plan.services.values()].flatMap(({ ports }) => ports))
    for (const frontend of port.frontends)
      for (const address of frontend.kind === 'NodePort' ? nodePortsAt : [frontend.address]) {
        const protocol = port.protocol.toLowerCase() as Ask['protocol'];
        const ask: Ask = { address, port: frontend.port, protocol };
        const { flows, endpoints } = all.get(keyOf(ask)) ?? { flows: [], endpoints: [] };
        all.set(keyOf(ask), {
          ask,
          flows: [...flows, expectFlow(plan, port, frontend, client)],
          endpoints: [...endpoints, ...port.clusterEndpoints, ...port.localEndpoints],
        });
      }
  return all;
}

/** `10.0.0.1 8080 from 10.244.1.4: 0.500000`: one line per destination, sorted. */
export function printOutcomes(outcomes: readonly Outcome[]): string {
  const shares = new Map<string, number>();
  for (const { kind, address, port, source, probability } of outcomes) {
    const line = kind === 'forwarded' ? `${address} ${port} from ${source}` : kind;
    shares.set(line, (shares.get(line) ?? 0) + probability);
  }
  return [...shares]
    .map(([line, share]) => `${line}: ${share.toFixed(6)}`)
    .sort()
    .join(', ');
}

/** The client's address as this endpoint of a flow sees it. */
function sourceAt(isMasqueraded: boolean, address: string, { source }: Client, node: TracedNode): string {
  return isMasqueraded || source === address ? node.sourceTo(address) : source;
}

/** As printOutcomes would. */
export function printFlow(flow: Flow, client: Client, node: TracedNode): string {
  if (flow.kind !== 'forwarded') return `${flow.kind}: 1.000000`;
  const share = (1 / flow.endpoints.length).toFixed(6);
  const lines = flow.endpoints.map(
    ({ address, port }) => `${address} ${port} from ${sourceAt(flow.isMasqueraded, address, client, node)}: ${share}`,
  );
  return lines.sort().join(', ');
}

function wayOf(flow: Flow): string {
  return flow.kind === 'dropped' ? flow.why : flow.kind;
}

/** Whether this may happen while the one becomes the other: who is served before and after is served throughout, by the right ones. */
export function mayBetween(
  before: Promised,
  after: Promised,
  { kind, address, port, source }: Outcome,
  client: Client,
  node: TracedNode,
): boolean {
  const flows = [...before.flows, ...after.flows];
  if (kind !== 'forwarded') return flows.some((flow) => flow.kind !== 'forwarded');
  const endpoints = [...before.endpoints, ...after.endpoints];
  const isEndpoint = endpoints.some((one) => one.address === address && one.port === port);
  const forwarded = flows.filter((flow) => flow.kind === 'forwarded');
  const isSource = forwarded.some(({ isMasqueraded }) => sourceAt(isMasqueraded, address, client, node) === source);
  // Two ways to be dropped may meet in one that is not: by the policy's new list, and by ranges that are not there yet.
  const changesWay = new Set(flows.map(wayOf)).size > 1;
  return isEndpoint && (isSource || (forwarded.length < flows.length && changesWay));
}
