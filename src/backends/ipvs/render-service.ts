/** Renders one Service: virtual servers, and the set entries that lead its packets to them and back. */
import { type Cidr, type Family, isLoopback, isUnicast, joinHostPort, parseCidr } from '../../model/address';
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

/** One virtual server, and what is added and removed with it. */
export interface VirtualServer {
  /** As in virtual-server.ts. */
  readonly text: string;
  readonly entries: readonly SetEntry[];
  /** The address to bind to kube-ipvs0. */
  readonly address?: string;
  /** An external address is bound only if it does not belong to a Node. */
  readonly isExternal?: boolean;
}

export interface RenderedService {
  /** By key, as in virtual-server.ts. */
  readonly servers: ReadonlyMap<string, VirtualServer>;
  /** Entries that belong to no virtual server: endpoints on this node, the health check port. */
  readonly entries: readonly SetEntry[];
}

/** What a Service's rendering depends on apart from the Service. */
export interface RenderScope {
  readonly family: Family;
  readonly settings: IpvsSettings;
  readonly nodeAddresses: ReadonlySet<string>;
  /** The addresses on which NodePorts answer. */
  readonly nodePortAddresses: readonly string[];
  /** markIdentity of a service port -> its mark, if it has one. */
  readonly marks: ReadonlyMap<string, number>;
}

/** What the virtual servers of a service port have in common. */
interface PortServers extends Pick<RenderScope, 'nodeAddresses'> {
  readonly port: ServicePortPlan;
  /** undefined when the port has no mark. */
  readonly mark: number | undefined;
  readonly textOf: (frontend: Frontend) => string;
}

export const nothingRendered: RenderedService = { servers: new Map(), entries: [] };

export function renderService(service: ServicePlan, scope: RenderScope): RenderedService {
  return finish(renderServicePorts(service, scope));
}

/** In pieces of one port. */
export function* renderServicePorts(service: ServicePlan, scope: RenderScope): Pieces<RenderedService> {
  const servers = new Map<string, VirtualServer>();
  const entries: SetEntry[] = [];
  for (const [i, port] of service.ports.entries()) {
    if (i > 0) yield;
    const mark = scope.marks.get(markIdentity(port));
    const common: PortServers = { port, mark, textOf: printServers(port, scope), nodeAddresses: scope.nodeAddresses };
    for (const { frontend, address } of placesOf(port.frontends, scope)) {
      const key = serverKey(port.protocol, address, frontend.port);
      // A NodePort on an external IP that is also the node's address: the server of the IP is already there.
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

/** The port's entries of KUBE-IPVS-LOCAL: VIPs whose clients on this node are led by the port's mark. */
export function markedEntries(port: ServicePortPlan, scope: RenderScope): string[] {
  const marked = port.frontends.filter(({ localSourcesToCluster }) => localSourcesToCluster);
  return placesOf(marked, scope).map(({ frontend, address }) => ipPortElement(address, port.protocol, frontend.port));
}

/** The addresses of each frontend. A NodePort has a virtual server on each address on which it answers. */
function placesOf(
  frontends: readonly Frontend[],
  scope: RenderScope,
): { readonly frontend: Frontend; readonly address: string }[] {
  return frontends.flatMap((frontend) => addressesOf(frontend, scope).map((address) => ({ frontend, address })));
}

function addressesOf(frontend: Frontend, { nodePortAddresses }: RenderScope): readonly string[] {
  if (frontend.kind === 'NodePort') return nodePortAddresses;
  // The device and the sets would refuse any other address.
  return isUnicast(frontend.address) && !isLoopback(frontend.address) ? [frontend.address] : [];
}

/** Frontends with the same list share one text. */
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

/** With persistence by mark IPVS would keep the VIP's port instead of the endpoint's. So a scheduler by client address is used instead. */
function printMarkServer(port: ServicePortPlan, { settings }: RenderScope): string {
  const choose = port.affinitySeconds === 0 ? chooseScheduler : chooseStickyScheduler;
  const scheduler = choose(port, port.clusterEndpoints, settings);
  return printServer(serverOptions(scheduler, 0), port.clusterEndpoints);
}

function printServer(options: string, endpoints: readonly PlanEndpoint[]): string {
  // Joined, the text is one flat string. Concatenated piece by piece, each piece would stay in memory.
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
  // Without this, IPVS itself would refuse the packets of a server without destinations.
  if (isDropped) entries.push({ set: 'KUBE-IPVS-DROP', entry: element });
  if (isMarked || isDropped) entries.push(loopBack(port.protocol, address, frontend.port));
  const isBound = frontend.kind === 'ClusterIP' || (frontend.kind !== 'NodePort' && !nodeAddresses.has(address));
  if (!isBound) return { text, entries };
  return { text, entries, address, isExternal: frontend.kind !== 'ClusterIP' };
}

/** Entries of kube-proxy's sets. The sets named LOCAL are for frontends that keep the clients' addresses. */
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

/** Parsed source ranges. All frontends of a Service have the same list, which is parsed once. */
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
 * `10.244.1.2,tcp:8080,10.244.1.2` is for an endpoint that reaches itself through a VIP. `203.0.113.5,tcp:80,203.0.113.5` is for a VIP
 * with a mark, or one that drops (see renderMangle in render-fixed.ts).
 */
function loopBack(protocol: Protocol, address: string, port: number): SetEntry {
  return { set: 'KUBE-LOOP-BACK', entry: ipPortIpElement(address, protocol, port, address) };
}
