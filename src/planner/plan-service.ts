import { type Family, cidrContains, familyOf, parseCidr } from '../model/address';
import { type EndpointSlice, type Service, type ServicePort, type TrafficPolicy, serviceKey } from '../model/cluster';
import { finish, type Pieces } from '../model/pieces';
import { sameValue } from '../model/same-value';
import { type ChosenEndpoints, chooseEndpoints } from './choose-endpoints';
import { type Candidate, indexSlices, mergePort, portMatch } from './merge-slices';
import {
  type Frontend,
  type Masquerade,
  type NodeSettings,
  type Plan,
  type PlanEndpoint,
  type ServicePlan,
  type ServicePortPlan,
  takesNew,
  type Verdict,
} from './plan';

/** What all of a Service's ports have in common in one family. */
interface Scope {
  readonly service: Service;
  readonly family: Family;
  readonly settings: NodeSettings;
  readonly clusterIP: string;
  readonly externalIPs: readonly string[];
  readonly loadBalancerIPs: readonly string[];
  readonly sourceRanges: Pick<Frontend, 'sourceRanges' | 'sourceRangesHaveNode'>;
}

const noRanges = {};
const noCandidates: readonly Candidate[] = [];
const noEndpoints: readonly PlanEndpoint[] = [];
const noTexts: readonly string[] = [];
const reject: Verdict = { kind: 'reject', why: 'no endpoints' };
const drop: Verdict = { kind: 'drop', why: 'no local endpoints' };
const forwardToCluster: Verdict = { kind: 'forward', endpoints: 'cluster' };
const forwardToLocal: Verdict = { kind: 'forward', endpoints: 'local' };

function planSourceRanges(service: Service, family: Family, nodeIP: string | undefined): Scope['sourceRanges'] {
  const sourceRanges = service.sourceRanges.filter((range) => familyOf(range) === family).sort();
  if (sourceRanges.length === 0) return noRanges;
  const sourceRangesHaveNode =
    nodeIP !== undefined &&
    sourceRanges.some((range) => {
      const cidr = parseCidr(range);
      return cidr !== undefined && cidrContains(cidr, nodeIP);
    });
  return { sourceRanges, sourceRangesHaveNode };
}

/** Rejects if no endpoint could serve. Drops if endpoints elsewhere could: a load balancer then tries another node. */
function planVerdict(policy: TrafficPolicy, chosen: ChosenEndpoints): Verdict {
  if (!chosen.hasAny) return reject;
  if (policy === 'Cluster') return forwardToCluster;
  return chosen.local.length > 0 ? forwardToLocal : drop;
}

function clusterIPMasquerade({ settings, family }: Scope): Masquerade {
  if (settings.masqueradeAll) return 'always';
  return settings.localDetector[family].kind === 'none' ? 'never' : 'not-local-pods';
}

/** Sorted by kind and address. An address of two kinds keeps the first kind, because the dispatch can contain it only once. */
function planFrontends(port: ServicePort, scope: Scope, chosen: ChosenEndpoints): Frontend[] {
  const { service, clusterIP } = scope;
  const frontends: Frontend[] = [];
  const seen = new Set<string>([clusterIP]);
  frontends.push({
    kind: 'ClusterIP',
    address: clusterIP,
    port: port.port,
    verdict: planVerdict(service.internalTrafficPolicy, chosen),
    masquerade: clusterIPMasquerade(scope),
    localSourcesToCluster: false,
  });
  const policy = service.externalTrafficPolicy;
  const external = {
    verdict: planVerdict(policy, chosen),
    masquerade: policy === 'Local' ? ('never' as const) : ('always' as const),
    localSourcesToCluster: policy === 'Local' && chosen.cluster.length > 0,
  };
  for (const address of scope.settings.allowServiceExternalIPs ? scope.externalIPs : noTexts) {
    if (seen.has(address)) continue;
    seen.add(address);
    frontends.push({ kind: 'ExternalIP', address, port: port.port, ...external });
  }
  for (const address of scope.loadBalancerIPs) {
    if (seen.has(address)) continue;
    seen.add(address);
    frontends.push({ kind: 'LoadBalancer', address, port: port.port, ...external, ...scope.sourceRanges });
  }
  if (port.nodePort !== 0) frontends.push({ kind: 'NodePort', address: '', port: port.nodePort, ...external });
  return frontends;
}

/** If all endpoints have the weight 0, there is no other to drain them to, so all serve with equal weight. */
function planEndpoints(candidates: readonly Candidate[]): readonly PlanEndpoint[] {
  if (candidates.length === 0) return noEndpoints;
  const planned = candidates.map((candidate) => candidate.planned);
  if (planned.some(takesNew)) return planned;
  return planned.map(({ address, port, isLocal }) => ({ address, port, isLocal }));
}

function sameCandidates(a: readonly Candidate[], b: readonly Candidate[]): boolean {
  return a.length === b.length && a.every((candidate, i) => candidate === b[i]);
}

function planPort(port: ServicePort, scope: Scope, candidates: readonly Candidate[]): ServicePortPlan {
  const { service, settings } = scope;
  const internalLocal = service.internalTrafficPolicy === 'Local';
  const externalLocal = service.externalTrafficPolicy === 'Local';
  // External IPs count even if the gate AllowServiceExternalIPs leaves them unanswered, as in kube-proxy.
  const hasExternals = port.nodePort !== 0 || scope.externalIPs.length > 0 || scope.loadBalancerIPs.length > 0;
  const chosen = chooseEndpoints(
    candidates,
    { cluster: !internalLocal || hasExternals, local: internalLocal || (externalLocal && hasExternals) },
    settings,
  );
  const noLocal = chosen.hasAny && chosen.local.length === 0;
  const clusterEndpoints = planEndpoints(chosen.cluster);
  return {
    service: serviceKey(service.namespace, service.name),
    namespace: service.namespace,
    name: service.name,
    portName: port.name,
    protocol: port.protocol,
    frontends: planFrontends(port, scope, chosen),
    clusterEndpoints,
    localEndpoints: sameCandidates(chosen.cluster, chosen.local) ? clusterEndpoints : planEndpoints(chosen.local),
    servingEndpoints:
      port.protocol === 'UDP'
        ? candidates.filter(({ conditions }) => conditions.serving).map(({ text }) => text)
        : noTexts,
    affinitySeconds: service.affinitySeconds,
    ...(service.scheduler === undefined ? {} : { scheduler: service.scheduler }),
    noLocalEndpoints: { internal: internalLocal && noLocal, external: externalLocal && noLocal },
  };
}

/**
 * Plans what this node should do for one Service in one family. Returns undefined if it does nothing: the Service is not
 * proxied, or has no port or no cluster IP of this family.
 *
 * @param slices those that serve the Service, of any family and in any order.
 */
export function planService(
  service: Service,
  slices: readonly EndpointSlice[],
  family: Family,
  settings: NodeSettings,
): ServicePlan | undefined {
  return finish(planPorts(service, slices, { family, settings }));
}

/** Like planService, one port per piece of work. A port that is equal to the one in `before` is the same object. */
export function* planPorts(
  service: Service,
  slices: readonly EndpointSlice[],
  { family, settings }: Pick<Plan, 'family' | 'settings'>,
  before?: ServicePlan,
): Pieces<ServicePlan | undefined> {
  const clusterIP = service.clusterIPs[family];
  if (service.notProxied !== undefined || clusterIP === undefined || service.ports.length === 0) return undefined;
  const ofFamily = (addresses: readonly string[]): string[] =>
    addresses.filter((address) => familyOf(address) === family).sort();
  const scope: Scope = {
    service,
    family,
    settings,
    clusterIP,
    externalIPs: ofFamily(service.externalIPs),
    loadBalancerIPs: ofFamily(service.loadBalancerIPs),
    sourceRanges: planSourceRanges(service, family, settings.nodeIPs[family]),
  };
  const index = indexSlices(slices, family);
  const localReady = new Set<string>();
  let endpointCount = 0;
  const ports: ServicePortPlan[] = [];
  for (const [i, port] of service.ports.entries()) {
    if (i > 0) yield;
    const found = index.get(portMatch(port.name, port.protocol));
    const candidates = found === undefined ? noCandidates : mergePort(found, settings.nodeName, service.weights);
    endpointCount += candidates.length;
    for (const { planned, conditions } of candidates) {
      if (planned.isLocal && conditions.ready) localReady.add(planned.address);
    }
    const planned = planPort(port, scope, candidates);
    const known = before?.ports[i];
    ports.push(known !== undefined && sameValue(known, planned) ? known : planned);
  }
  return {
    key: serviceKey(service.namespace, service.name),
    ports,
    healthCheckNodePort: service.healthCheckNodePort,
    localReadyEndpoints: localReady.size,
    endpointCount,
  };
}
