/** Explains where a new connection goes and why, by the Plan and by the rules that a node has or would have. */
import { protocolName } from '../model/protocol';
import { devicesOf, type Source } from '../compare/sources';
import { expectWay, type ExpectedWay, observeWay, sharesOf } from '../compare/ways';
import { isLoopback, joinHostPort } from '../model/address';
import type { ClusterState, Service, ServicePort } from '../model/cluster';
import { describeFrontend } from '../planner/describe';
import type { LocalDetector } from '../model/local-detector';
import type { NodeSettings, Plan, ServicePortPlan } from '../planner/plan';
import type { TracedKernel } from '../trace/kernel';
import type { Connection } from '../trace/packet';
import { disagree } from './disagreement';
import { explainMiss, type Found, findFrontend, isRelayed } from './frontends';
import {
  endpointsOfPort,
  explainLeftOut,
  type LeftOut,
  type PortEndpoints,
  type ShownEndpoint,
  whereReady,
  whyNoneIsReady,
} from './left-out';
import { mergeTrails, type ShownRule } from './merge-trails';
import { type Client, printClient, printTarget, type Target } from './question';

export interface ExplainScope {
  readonly cluster: ClusterState;
  readonly plan: Plan;
  readonly kernel: TracedKernel;
  /** This node's addresses of the Plan's family, canonical. */
  readonly nodeAddresses: readonly string[];
}

export interface Receiver extends ShownEndpoint {
  /** Its share of new connections: more than 0, at most 1. */
  readonly share: number;
}

export interface Explanation {
  readonly from: string;
  readonly to: string;
  readonly node: string;
  readonly mode: string;
  /** The outcome by the Plan. What does not belong to a Service is untouched. */
  readonly outcome: 'forwarded' | 'refused' | 'dropped' | 'untouched';
  /** `ClusterIP 10.96.0.10:80/tcp of shop/cart:http`, or '' if it does not belong to a Service. */
  readonly frontend: string;
  /** The reasons for the outcome, the deciding one first. */
  readonly reasons: readonly string[];
  readonly receivers: readonly Receiver[];
  readonly leftOut: readonly LeftOut[];
  /** '' if the connection is not forwarded. */
  readonly source: string;
  readonly affinity: string;
  /** In the order in which a packet reaches them. */
  readonly rules: readonly ShownRule[];
  /** How the rules differ from the Plan, in words. */
  readonly disagreement: string;
}

/** A connection to a frontend, with its client and the way that it takes by the Plan. */
interface PlannedConnection extends Found {
  readonly client: Client;
  /** The client in the way that rules distinguish sources. */
  readonly source: Source;
  readonly way: ExpectedWay;
  /** A listener of vipwire accepts it, instead of rules that send it on. */
  readonly isRelayed: boolean;
}

/** What the cluster says about the frontend's port. */
interface PortInCluster {
  readonly service: Service;
  readonly servicePort: ServicePort;
  readonly endpoints: PortEndpoints;
}

export function explainConnection(client: Client, target: Target, scope: ExplainScope): Explanation {
  const { plan, kernel, nodeAddresses, cluster } = scope;
  const source = sourceOf(client, target, plan);
  const { node, mode } = { node: plan.settings.nodeName, mode: kernel.kind.mode };
  const asked = { kernel, protocol: protocolName(target.protocol), address: target.address, port: target.port };
  const found = findFrontend(plan, target, nodeAddresses);
  const observed = observeWay(asked, source, false);
  const rules = mergeTrails(kernel.trace(connectionOf(source, target)));
  const question = { from: printClient(client), to: printTarget(target), node, mode, rules };
  if (found === undefined)
    return {
      ...question,
      ...nothing,
      outcome: observed.kind === 'unknown' ? 'untouched' : observed.kind,
      reasons: ['no Service has this address and port', ...explainMiss(plan, cluster, target, nodeAddresses)],
    };
  const way = expectWay(found.port, found.frontend, source, {
    rules: kernel.kind,
    nodeIP: plan.settings.nodeIPs[plan.family] ?? '',
    isLocal: (address) => kernel.isLocal(address),
  });
  const relayed = isRelayed(target, plan);
  const described = describeWay({ ...found, client, source, way, isRelayed: relayed }, scope);
  return { ...question, ...described, disagreement: disagree(way, observed, relayed) };
}

const nothing = { frontend: '', receivers: [], leftOut: [], source: '', affinity: '', disagreement: '' } as const;

type Described = Omit<Explanation, 'from' | 'to' | 'node' | 'mode' | 'rules' | 'disagreement'>;

function describeWay(connection: PlannedConnection, scope: ExplainScope): Described {
  const { port, frontend, way, isRelayed: relayed } = connection;
  const { settings } = scope.plan;
  const inCluster = findInCluster(port, scope);
  const { endpoints } = inCluster;
  const policy = frontend.kind === 'ClusterIP' ? 'internalTrafficPolicy' : 'externalTrafficPolicy';
  const receivers = [...way.endpoints].map(([end, { share }]): Receiver => {
    const { pod = '', nodeName = '', zone = '' } = endpoints.all.get(end) ?? {};
    return { end, pod, nodeName, zone, share };
  });
  const choice = { list: way.list, policy, chosen: new Set(way.endpoints.keys()) } as const;
  // A client that is not let in is not shown the endpoints that it would reach.
  const isServed = way.why !== 'source ranges';
  const isForwarded = way.kind === 'forwarded';
  return {
    // Without an endpoint there is no listener, and no rule refuses the connection either.
    outcome: relayed && !isForwarded ? 'untouched' : way.kind,
    frontend: `${describeFrontend(port, { ...frontend, verdict: forwarding }).replace(/ \(.*/, '')} of ${nameOf(port)}`,
    reasons: isForwarded
      ? whyForwarded(connection, inCluster, settings)
      : [whyUnserved(connection, inCluster, settings)],
    receivers,
    leftOut: isServed ? explainLeftOut(endpoints, choice, settings) : [],
    source: isForwarded ? describeSource(connection, inCluster, scope) : '',
    affinity: isForwarded ? describeAffinity(port, way, scope) : '',
  };
}

/** Throws if the cluster has no such port. */
function findInCluster(port: ServicePortPlan, { cluster, plan }: ExplainScope): PortInCluster {
  const service = cluster.services.get(port.service);
  const servicePort = service?.ports.find((one) => one.name === port.portName && one.protocol === port.protocol);
  if (service === undefined || servicePort === undefined) throw new Error(`${port.service} is not in the cluster`);
  const endpoints = endpointsOfPort(service, servicePort, cluster.slicesOf(port.service), plan);
  return { service, servicePort, endpoints };
}

const forwarding = { kind: 'forward', endpoints: 'cluster' } as const;

function nameOf({ service, portName }: ServicePortPlan): string {
  return portName === '' ? service : `${service}, port ${portName}`;
}

function whyForwarded(
  { port, frontend, client, source, isRelayed: relayed, way: { list } }: PlannedConnection,
  { service, endpoints: { all } }: PortInCluster,
  settings: NodeSettings,
): string[] {
  const isInternal = frontend.kind === 'ClusterIP';
  const [name, policy] = isInternal
    ? ['internalTrafficPolicy', service.internalTrafficPolicy]
    : ['externalTrafficPolicy', service.externalTrafficPolicy];
  const reasons: string[] = [];
  if (policy === 'Local' && list === 'cluster')
    reasons.push(
      `externalTrafficPolicy is Local, for clients outside; ${client.kind === 'node' ? 'the node itself' : 'a pod of this node'} reaches the whole cluster by a Service's external addresses`,
    );
  else if (policy === 'Local') reasons.push(`${name} is Local: only endpoints on ${settings.nodeName}`);
  else reasons.push(`${name} is Cluster: endpoints on any node`);
  if (relayed) reasons.push('no rule can send it from ::1 to an endpoint: vipwire accepts it and relays its data');
  if (frontend.sourceRanges !== undefined)
    reasons.push(`${source.address} is in the load balancer's source ranges (${frontend.sourceRanges.join(', ')})`);
  const chosen = (list === 'local' ? port.localEndpoints : port.clusterEndpoints).map(
    ({ address, port: number }) => all.get(joinHostPort(address, number))?.conditions,
  );
  if (chosen.every((conditions) => conditions?.ready === false))
    reasons.push('no endpoint is ready: terminating endpoints that still serve are used (KEP-1669)');
  else if (list === 'cluster') reasons.push(...whyHinted([...all.values()], chosen.length, settings));
  if (sharesOf(port.clusterEndpoints).size > 1 && service.weights !== undefined)
    reasons.push('weights by the annotation vipwire.io/weights');
  return reasons;
}

function whyHinted(
  all: readonly { readonly conditions: { readonly ready: boolean; readonly nodeHints: readonly string[] } }[],
  chosen: number,
  { nodeName, zone }: NodeSettings,
): string[] {
  const ready = all.filter(({ conditions }) => conditions.ready);
  if (chosen >= ready.length) return [];
  const byNode = ready.every(({ conditions }) => conditions.nodeHints.length > 0);
  return [
    `topology hints: ${chosen} of ${ready.length} ready endpoints are for ${byNode ? `node ${nodeName}` : `zone ${zone}`}`,
  ];
}

function whyUnserved(
  { port, frontend, source, way: { why } }: PlannedConnection,
  { servicePort, endpoints }: PortInCluster,
  settings: NodeSettings,
): string {
  if (why === 'source ranges')
    return `${source.address} is not in the load balancer's source ranges (${(frontend.sourceRanges ?? []).join(', ')})`;
  const policy = frontend.kind === 'ClusterIP' ? 'internalTrafficPolicy' : 'externalTrafficPolicy';
  if (why === 'no local endpoints') {
    const elsewhere = whereReady(endpoints) || whyNoneIsReady(endpoints);
    return `${policy} is Local and ${settings.nodeName || 'this node'} has no ready endpoint of ${port.service}; ${elsewhere}`;
  }
  if (endpoints.all.size > 0) return `${port.service} has no endpoint that is ready: ${whyNoneIsReady(endpoints)}`;
  if (endpoints.otherPorts.length > 0) {
    const wanted = `${servicePort.name === '' ? 'unnamed' : servicePort.name}/${servicePort.protocol}`;
    return `no EndpointSlice of ${port.service} has the port ${wanted}: they have ${endpoints.otherPorts.join(', ')}`;
  }
  return `${port.service} has no endpoints: its selector matches no pod, or it has no selector and no EndpointSlice`;
}

function describeSource(
  { port, frontend, client, source, way, isRelayed: relayed }: PlannedConnection,
  { service }: PortInCluster,
  { plan, kernel }: ExplainScope,
): string {
  if (relayed) return "this node's address on the way to the endpoint: vipwire opens a connection of its own";
  const masqueraded = [...way.endpoints.values()].some(({ isMasqueraded }) => isMasqueraded);
  const delivered = [...way.endpoints].flatMap(([end, { isDelivered }]) => (isDelivered ? [end] : []));
  const { settings, family } = plan;
  const isEndpoint = [...port.clusterEndpoints, ...port.localEndpoints].some(
    ({ address }) => address === client.address,
  );
  const hairpin = isEndpoint ? '; always masqueraded when it reaches itself (hairpin)' : '';
  const atNode = "this node's own address: connections that are delivered here are never masqueraded";
  if (!masqueraded) {
    if (delivered.length > 0) return `kept (${source.address}): ${delivered.join(', ')} is ${atNode}`;
    const why =
      frontend.masquerade === 'never' && frontend.kind !== 'ClusterIP'
        ? 'externalTrafficPolicy is Local'
        : frontend.masquerade === 'never'
          ? 'pods cannot be told from other clients (detectLocalMode without a CIDR), so no client is masqueraded'
          : `it is a pod ${describeDetector(settings.localDetector[family])}`;
    return `kept (${source.address}): ${why}${hairpin}`;
  }
  const why = settings.masqueradeAll
    ? 'masqueradeAll'
    : frontend.masquerade === 'always'
      ? 'externalTrafficPolicy is Cluster, so the answer has to come back through this node'
      : frontend.masquerade === 'not-local-pods'
        ? `it is not a pod ${describeDetector(settings.localDetector[family])}`
        : kernel.kind.vipIsLocal && service.externalTrafficPolicy !== 'Local'
          ? 'the node itself would connect from the VIP, which is its own address in IPVS mode'
          : 'it is the node itself';
  const but = delivered.length === 0 ? '' : `; kept (${source.address}) to ${delivered.join(', ')}, ${atNode}`;
  return `masqueraded with this node's address on the way to the endpoint: ${why}${but}`;
}

function describeDetector(detector: LocalDetector): string {
  switch (detector.kind) {
    case 'none':
      return 'of this node';
    case 'cidr':
      return `by the CIDR ${detector.cidr}`;
    case 'interface':
      return `by the interface ${detector.name}`;
    case 'interface-prefix':
      return `by the interface ${detector.prefix}*`;
  }
}

function describeAffinity(
  { affinitySeconds }: ServicePortPlan,
  { list }: ExpectedWay,
  { kernel }: ExplainScope,
): string {
  if (affinitySeconds === 0) return 'none: each connection is balanced independently';
  const held = `a client stays with its endpoint until ${affinitySeconds} s after its last connection`;
  return kernel.kind.marksPastLocal && list === 'cluster'
    ? `${held} (by the hash of its address if a mark leads past externalTrafficPolicy Local)`
    : held;
}

/** Returns the client in the way that rules distinguish sources. */
function sourceOf({ kind, address, nodeName }: Client, target: Target, { settings, family }: Plan): Source {
  if (kind === 'node')
    return { kind: 'node', address: isLoopback(target.address) ? target.address : address, device: '' };
  const ways = devicesOf(settings.localDetector[family], address);
  const isHere = kind === 'pod' && (nodeName === '' || nodeName === settings.nodeName);
  const [first = { kind: 'outside', device: 'eth0' } as const] = isHere ? ways : ways.toReversed();
  return { ...first, address };
}

function connectionOf({ address, device }: Source, target: Target): Connection {
  return {
    protocol: protocolName(target.protocol),
    source: address,
    destination: target.address,
    port: target.port,
    device,
  };
}
