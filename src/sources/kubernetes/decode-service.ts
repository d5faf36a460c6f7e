import type { Family } from '../../model/address';
import { families, familyOf, formatCidr, parseAddress, parseCidr } from '../../model/address';
import type { NotProxied, Service, ServicePort } from '../../model/cluster';
import { decodeScheduler, decodeWeights } from './decode-balancing';
import type { Fields, Warn, WarnOf } from './decode-fields';
import {
  decodeAddresses,
  decodeIdentity,
  fieldsOf,
  isLabel,
  isPort,
  listOf,
  protocolOf,
  quote,
  quotePort,
  textOf,
} from './decode-fields';

/** KEP-2447: another proxy serves this Service. */
const proxyNameLabel = 'service.kubernetes.io/service-proxy-name';
/** The API server's default, and its most: a day. */
const defaultAffinitySeconds = 10800;
const longestAffinitySeconds = 86400;

function whyNotProxied(labels: Fields, spec: Fields): NotProxied | undefined {
  if (proxyNameLabel in labels) return 'another proxy';
  if (spec.type === 'ExternalName') return 'ExternalName';
  const clusterIP = textOf(spec.clusterIP) || textOf(listOf(spec.clusterIPs)[0]);
  if (clusterIP === 'None') return 'headless';
  return clusterIP === '' ? 'no cluster IP' : undefined;
}

/** Which of spec.clusterIPs is of which family, spec.ipFamilies tells; without it spec.clusterIP is all there is. */
function decodeClusterIPs(spec: Fields, warn: WarnOf): Service['clusterIPs'] {
  const listed = listOf(spec.clusterIPs);
  const first = textOf(spec.clusterIP) === '' ? listed[0] : spec.clusterIP;
  const ipFamilies = listOf(spec.ipFamilies);
  const texts = ipFamilies.length === 0 || listed.length === 0 ? [first] : listed.slice(0, ipFamilies.length);
  const clusterIPs: Partial<Record<Family, string>> = {};
  for (const [i, text] of texts.entries()) {
    const address = parseAddress(textOf(text));
    const family = familyOf(address ?? '');
    if (address === undefined || (ipFamilies.length > 0 && family !== ipFamilies[i])) {
      warn('bad-address', `clusterIPs: ${quote(text)} is no address of its family`);
    } else {
      clusterIPs[family] ??= address;
    }
  }
  return clusterIPs;
}

/** Ports that could not be told apart, by name or by number, are the first's. */
function decodePorts(spec: Fields, warn: WarnOf): ServicePort[] {
  const ports: ServicePort[] = [];
  /** `TCP name http`, `TCP port 80`, `TCP node port 30080`: a search through the ports before, for each, would be slow. */
  const taken = new Set<string>();
  for (const value of listOf(spec.ports)) {
    const fields = fieldsOf(value);
    const name = fields.name ?? '';
    const protocol = protocolOf(fields.protocol);
    if (typeof name !== 'string' || (name !== '' && !isLabel(name)) || protocol === undefined || !isPort(fields.port)) {
      warn('bad-port', `${quotePort(fields)} is unusable and left out`);
      continue;
    }
    const port = fields.port;
    const [byName, byPort] = [`${protocol} name ${name}`, `${protocol} port ${port}`];
    if (taken.has(byName) || taken.has(byPort)) {
      warn('bad-port', `${quotePort(fields)} repeats another and is left out`);
      continue;
    }
    let nodePort = fields.nodePort ?? 0;
    if (nodePort !== 0 && (!isPort(nodePort) || taken.has(`${protocol} node port ${nodePort}`))) {
      warn('bad-port', `node port ${quote(nodePort)} is unusable and left out`);
      nodePort = 0;
    }
    taken
      .add(byName)
      .add(byPort)
      .add(`${protocol} node port ${nodePort as number}`);
    ports.push({ name, protocol, port, nodePort: nodePort as number });
  }
  return ports;
}

function decodeAffinity(spec: Fields, warn: WarnOf): number {
  if (spec.sessionAffinity !== 'ClientIP') return 0;
  const seconds = fieldsOf(fieldsOf(spec.sessionAffinityConfig).clientIP).timeoutSeconds ?? defaultAffinitySeconds;
  if (Number.isInteger(seconds) && (seconds as number) >= 1 && (seconds as number) <= longestAffinitySeconds) {
    return seconds as number;
  }
  warn('bad-affinity', `session affinity of ${quote(seconds)} seconds: ${defaultAffinitySeconds} are used`);
  return defaultAffinitySeconds;
}

/** No packet comes from these. */
const nobody = ['255.255.255.255/32', '::/128'];

/** A /0 lets its whole family in. What is no list of texts, which a file alone can have, lets nobody in: an empty list is everyone. */
function decodeSourceRanges(spec: Fields, warn: WarnOf): string[] {
  const given = spec.loadBalancerSourceRanges ?? [];
  const ranges: readonly unknown[] = Array.isArray(given) ? given : [given];
  const cidrs = ranges.flatMap((value) => {
    const cidr = Array.isArray(given) ? parseCidr(textOf(value).trim()) : undefined;
    if (cidr === undefined) warn('bad-cidr', `loadBalancerSourceRanges: ${quote(value)} is no CIDR and left out`);
    return cidr ?? [];
  });
  if (cidrs.length === 0 && (ranges !== given || ranges.some((value) => typeof value !== 'string'))) return nobody;
  const limited = families.filter((family) => !cidrs.some((cidr) => cidr.family === family && cidr.prefix === 0));
  return [...new Set(cidrs.filter(({ family }) => limited.includes(family)).map(formatCidr))];
}

/** ipMode Proxy (KEP-1860) keeps traffic on its way to the load balancer. */
function decodeLoadBalancerIPs(object: unknown, warn: WarnOf): string[] {
  const ingress = listOf(fieldsOf(fieldsOf(fieldsOf(object).status).loadBalancer).ingress).map(fieldsOf);
  const served = ingress.filter(({ ip, ipMode }) => ip !== undefined && ip !== null && (ipMode ?? 'VIP') === 'VIP');
  return decodeAddresses(
    served.map(({ ip }) => ip),
    'status.loadBalancer.ingress',
    warn,
  );
}

/** The policy counts only where someone from outside could come. */
function isExternalPolicyLocal(spec: Fields): boolean {
  if (spec.externalTrafficPolicy !== 'Local') return false;
  const type = spec.type ?? 'ClusterIP';
  return (
    type === 'LoadBalancer' || type === 'NodePort' || (type === 'ClusterIP' && listOf(spec.externalIPs).length > 0)
  );
}

function decodeHealthCheckNodePort(spec: Fields, isLocal: boolean, warn: WarnOf): number {
  if (!isLocal || spec.type !== 'LoadBalancer') return 0;
  if (isPort(spec.healthCheckNodePort)) return spec.healthCheckNodePort;
  warn('bad-port', 'externalTrafficPolicy Local without a healthCheckNodePort: load balancers cannot ask this node');
  return 0;
}

/**
 * A core/v1 Service. What is unusable of it is warned about and left out; undefined where nothing can be used. A Service
 * that is not proxied is told with the reason and without the rest.
 */
export function decodeService(object: unknown, warn: Warn): Service | undefined {
  const identity = decodeIdentity(object, 'Service', isLabel, warn);
  if (identity === undefined) return undefined;
  const spec = fieldsOf(fieldsOf(object).spec);
  const notProxied = whyNotProxied(identity.labels, spec);
  const { namespace, name } = identity;
  if (notProxied !== undefined) {
    return {
      kind: 'Service',
      namespace,
      name,
      notProxied,
      clusterIPs: {},
      ports: [],
      affinitySeconds: 0,
      internalTrafficPolicy: 'Cluster',
      externalTrafficPolicy: 'Cluster',
      externalIPs: [],
      loadBalancerIPs: [],
      sourceRanges: [],
      healthCheckNodePort: 0,
    };
  }
  const isLocal = isExternalPolicyLocal(spec);
  const scheduler = decodeScheduler(identity.annotations, identity.warn);
  const weights = decodeWeights(identity.annotations, identity.warn);
  return {
    kind: 'Service',
    namespace,
    name,
    clusterIPs: decodeClusterIPs(spec, identity.warn),
    ports: decodePorts(spec, identity.warn),
    affinitySeconds: decodeAffinity(spec, identity.warn),
    internalTrafficPolicy: spec.internalTrafficPolicy === 'Local' ? 'Local' : 'Cluster',
    externalTrafficPolicy: isLocal ? 'Local' : 'Cluster',
    externalIPs: decodeAddresses(listOf(spec.externalIPs), 'externalIPs', identity.warn),
    loadBalancerIPs: decodeLoadBalancerIPs(object, identity.warn),
    sourceRanges: decodeSourceRanges(spec, identity.warn),
    healthCheckNodePort: decodeHealthCheckNodePort(spec, isLocal, identity.warn),
    ...(scheduler === undefined ? {} : { scheduler }),
    ...(weights === undefined ? {} : { weights }),
  };
}
