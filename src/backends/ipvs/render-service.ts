/** What one Service is in the kernel: virtual servers, and the set entries that let its packets reach them and find back. */
import type { Family } from '../../model/address';
import { type Cidr, isLoopback, isUnicast, joinHostPort, parseCidr } from '../../model/address';
import type { Protocol } from '../../model/protocol';
import { finish, type Pieces } from '../../model/pieces';
import type { Frontend, PlanEndpoint, ServicePlan, ServicePortPlan } from '../../planner/plan';
import { chooseScheduler, chooseStickyScheduler, serverOptions } from './servers/choose-scheduler';
import { ipPortElement, ipPortIpElement, ipPortNetElement, markOptions, type SetName } from './sets/names';
import { markIdentity } from './sets/marks';
import type { IpvsSettings } from './settings';

export interface SetEntry {
  readonly set: SetName;
  readonly entry: string;
  readonly options?: string;
}

/** One virtual server and what comes and goes with it. */
export interface VirtualServer {
  /** As in virtual-server.ts. */
  readonly text: string;
  readonly entries: readonly SetEntry[];
  /** To be bound to kube-ipvs0; an external one only where no Node has it. */
  readonly address?: string;
  readonly isExternal?: boolean;
}

export interface RenderedService {
  /** By key, as in virtual-server.ts. */
  readonly servers: ReadonlyMap<string, VirtualServer>;
  /** Of no virtual server: endpoints on this node, the health check port. */
  readonly entries: readonly SetEntry[];
}

/** What a Service's state depends on apart from the Service. */
export interface RenderScope {
  readonly family: Family;
  readonly settings: IpvsSettings;
  readonly nodeAddresses: ReadonlySet<string>;
  /** Those on which NodePorts answer. */
  readonly nodePortAddresses: readonly string[];
  /** Of ports with marks alone. */
  readonly marks: ReadonlyMap<string, number>;
}

/** What the virtual servers of a service port have in common. */
interface PortServers extends Pick<RenderScope, 'nodeAddresses'> {
  readonly port: ServicePortPlan;
  /** undefined: the port has none. */
  readonly mark: number | undefined;
  readonly textOf: (frontend: Frontend) => string;
}

export const nothingRendered: RenderedService = { servers: new Map(), entries: [] };

export function renderService(service: ServicePlan, scope: RenderScope): RenderedService {
  return finish(renderServicePorts(service, scope));
}

/** A port at a time. */
export function* renderServicePorts(service: ServicePlan, scope: RenderScope): Pieces<RenderedService> {
  const servers = new Map<string, VirtualServer>();
  const entries: SetEntry[] = [];
  for (const [i, port] of service.ports.entries()) {
    if (i > 0) yield;
    const mark = scope.marks.get(markIdentity(port));
    const common: PortServers = { port, mark, textOf: printServers(port, scope), nodeAddresses: scope.nodeAddresses };
    for (const { frontend, address } of placesOf(port.frontends, scope)) {
      const key = serverKey(port.protocol, address, frontend.port);
      // A NodePort on an external IP that is the node's own: the IP's server is there first.
      if (!servers.has(key)) servers.set(key, renderFrontend(frontend, address, common));
    }
    if (mark !== undefined) servers.set(markKey(mark), { text: printMarkServer(port, scope), entries: [] });
    for (const endpoint of new Set([...port.clusterEndpoints, ...port.localEndpoints]))
      if (endpoint.isLocal) entries.push(loopBack(port.protocol, endpoint.address, endpoint.port));
  }
  if (service.healthCheckNodePort !== 0)
    entries.push({ set: 'KUBE-HEALTH-CHECK-NODE-PORT', entry: service.healthCheckNodePort.toString() });
  return { servers, entries };
}

function serverKey(protocol: Protocol, address: string, port: number): string {
  return `${protocol} ${joinHostPort(address, port)}`;
}

/** `FWM 4097`. */
function markKey(mark: number): string {
  return `FWM ${mark}`;
}

/** Entries of KUBE-IPVS-LOCAL: VIPs of the port whose clients here are led by its mark. */
export function markedEntries(port: ServicePortPlan, scope: RenderScope): string[] {
  const marked = port.frontends.filter(({ localSourcesToCluster }) => localSourcesToCluster);
  return placesOf(marked, scope).map(({ frontend, address }) => ipPortElement(address, port.protocol, frontend.port));
}

/** A NodePort has a virtual server on each address on which it answers. */
function placesOf(
  frontends: readonly Frontend[],
  scope: RenderScope,
): { readonly frontend: Frontend; readonly address: string }[] {
  return frontends.flatMap((frontend) => addressesOf(frontend, scope).map((address) => ({ frontend, address })));
}

function addressesOf(frontend: Frontend, { nodePortAddresses }: RenderScope): readonly string[] {
  if (frontend.kind === 'NodePort') return nodePortAddresses;
  // Another one would be refused by the device and by the sets.
  return isUnicast(frontend.address) && !isLoopback(frontend.address) ? [frontend.address] : [];
}

/** Texts are shared by the frontends of a list. */
function printServers(port: ServicePortPlan, scope: RenderScope): (frontend: Frontend) => string {
  const texts: Partial<Record<'cluster' | 'local' | 'none', string>> = {};
  return ({ verdict }) => {
    const list = verdict.kind === 'forward' ? verdict.endpoints : 'none';
    const endpoints = list === 'cluster' ? port.clusterEndpoints : list === 'local' ? port.localEndpoints : [];
    return (texts[list] ??= printServer(
      serverOptions(chooseScheduler(port, endpoints, scope.settings), port.affinitySeconds),
      endpoints,
    ));
  };
}

/** Persistence by mark would keep the VIP's port instead of the endpoint's: the client's address chooses there. */
function printMarkServer(port: ServicePortPlan, { settings }: RenderScope): string {
  const choose = port.affinitySeconds === 0 ? chooseScheduler : chooseStickyScheduler;
  const scheduler = choose(port, port.clusterEndpoints, settings);
  return printServer(serverOptions(scheduler, 0), port.clusterEndpoints);
}

function printServer(options: string, endpoints: readonly PlanEndpoint[]): string {
  // Joined, a text is one string: added up, each of its pieces would stay in memory.
  const lines = endpoints.map(({ address, port, weight = 1 }) => `${joinHostPort(address, port)} ${weight}`);
  return [options, ...lines].join('\n');
}

function renderFrontend(
  frontend: Frontend,
  address: string,
  { port, mark, textOf, nodeAddresses }: PortServers,
): VirtualServer {
  const text = textOf(frontend);
  const element = ipPortElement(address, port.protocol, frontend.port);
  const entries = [...frontendEntries(port.protocol, frontend, address, element)];
  const isMarked = frontend.localSourcesToCluster && mark !== undefined;
  const isDropped = frontend.verdict.kind === 'drop';
  if (isMarked)
    entries.push(
      { set: 'KUBE-IPVS-LOCAL', entry: element, options: markOptions(mark) },
      { set: 'KUBE-IPVS-MARKS', entry: String(mark) },
    );
  // Of a server without destinations IPVS itself refuses.
  if (isDropped) entries.push({ set: 'KUBE-IPVS-DROP', entry: element });
  if (isMarked || isDropped) entries.push(loopBack(port.protocol, address, frontend.port));
  const isBound = frontend.kind === 'ClusterIP' || (frontend.kind !== 'NodePort' && !nodeAddresses.has(address));
  if (!isBound) return { text, entries };
  return { text, entries, address, isExternal: frontend.kind !== 'ClusterIP' };
}

/** kube-proxy's sets. Those named LOCAL keep clients' addresses. */
function frontendEntries(protocol: Protocol, frontend: Frontend, address: string, element: string): SetEntry[] {
  const isLocal = frontend.masquerade === 'never';
  switch (frontend.kind) {
    case 'ClusterIP':
      return [{ set: 'KUBE-CLUSTER-IP', entry: element }];
    case 'ExternalIP':
      return [{ set: isLocal ? 'KUBE-EXTERNAL-IP-LOCAL' : 'KUBE-EXTERNAL-IP', entry: element }];
    case 'LoadBalancer':
      return [
        { set: 'KUBE-LOAD-BALANCER', entry: element },
        ...(isLocal ? [{ set: 'KUBE-LOAD-BALANCER-LOCAL', entry: element } as const] : []),
        ...sourceRangeEntries(protocol, frontend, address, element),
      ];
    case 'NodePort': {
      const [set, local] = nodePortSets[protocol];
      const entry = protocol === 'SCTP' ? element : frontend.port.toString();
      return [{ set, entry }, ...(isLocal ? [{ set: local, entry }] : [])];
    }
  }
}

const nodePortSets: Readonly<Record<Protocol, readonly [all: SetName, local: SetName]>> = {
  TCP: ['KUBE-NODE-PORT-TCP', 'KUBE-NODE-PORT-LOCAL-TCP'],
  UDP: ['KUBE-NODE-PORT-UDP', 'KUBE-NODE-PORT-LOCAL-UDP'],
  SCTP: ['KUBE-NODE-PORT-SCTP-HASH', 'KUBE-NODE-PORT-LOCAL-SCTP-HASH'],
};

/** All frontends of a Service have one list: it is read once. */
const nets = new WeakMap<readonly string[], readonly Cidr[]>();

function netsOf(ranges: readonly string[]): readonly Cidr[] {
  let read = nets.get(ranges);
  if (read === undefined) nets.set(ranges, (read = ranges.flatMap((range) => parseCidr(range) ?? [])));
  return read;
}

function sourceRangeEntries(protocol: Protocol, frontend: Frontend, address: string, element: string): SetEntry[] {
  if (frontend.sourceRanges === undefined) return [];
  const entries: SetEntry[] = [{ set: 'KUBE-LOAD-BALANCER-FW', entry: element }];
  for (const cidr of netsOf(frontend.sourceRanges)) {
    const entry = ipPortNetElement(address, protocol, frontend.port, cidr);
    entries.push({ set: 'KUBE-LOAD-BALANCER-SOURCE-CIDR', entry });
  }
  if (frontend.sourceRangesHaveNode === true)
    entries.push({
      set: 'KUBE-LOAD-BALANCER-SOURCE-IP',
      entry: ipPortIpElement(address, protocol, frontend.port, address),
    });
  return entries;
}

/**
 * `10.244.1.2,tcp:8080,10.244.1.2`: an endpoint that reaches itself through a VIP. And `203.0.113.5,tcp:80,203.0.113.5`: a
 * VIP with a mark, or one that drops: see renderMangle in fixed-rules.ts.
 */
function loopBack(protocol: Protocol, address: string, port: number): SetEntry {
  return { set: 'KUBE-LOOP-BACK', entry: ipPortIpElement(address, protocol, port, address) };
}
