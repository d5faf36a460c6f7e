import { families, type Family, familyOf, formatCidr, parseAddress, parseCidr } from '../../model/address';
import type { NotProxied, Service, ServicePort } from '../../model/cluster';
import { decodeScheduler, decodeWeights } from './decode-balancing';
import {
  decodeAddresses,
  decodeIdentity,
  type Fields,
  fieldsOf,
  isLabel,
  isPort,
  isWholeWithin,
  listOf,
  protocolOf,
  quote,
  quotePort,
  textOf,
  type Warn,
  type WarnOf,
} from './decode-fields';

/** The label of a Service that another proxy serves (KEP-2447). */
const proxyNameLabel = 'service.kubernetes.io/service-proxy-name';
/** The API server's default. */
const defaultAffinitySeconds = 10800;
/** The API server's limit: a day. */
const longestAffinitySeconds = 86400;

function whyNotProxied(labels: Fields, spec: Fields): NotProxied | undefined {
  if (proxyNameLabel in labels) return 'another proxy';
  if (spec.type === 'ExternalName') return 'ExternalName';
  const clusterIP = textOf(spec.clusterIP) || textOf(listOf(spec.clusterIPs)[0]);
  if (clusterIP === 'None') return 'headless';
  return clusterIP === '' ? 'no cluster IP' : undefined;
}

/** spec.ipFamilies says which of spec.clusterIPs has which family. Without it only spec.clusterIP counts. */
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
      warn('bad-address', `clusterIPs: ${quote(text)} is not an address of its family`);
    } else {
      clusterIPs[family] ??= address;
    }
  }
  return clusterIPs;
}

/** Of ports with the same name or number, only the first one counts. */
function decodePorts(spec: Fields, warn: WarnOf): ServicePort[] {
  const ports: ServicePort[] = [];
  /** Entries such as `TCP name http`, `TCP port 80`, `TCP node port 30080`. Searching the earlier ports for each port would be slow. */
  const taken = new Set<string>();
  for (const value of listOf(spec.ports)) {
    const fields = fieldsOf(value);
    const name = fields.name ?? '';
    const protocol = protocolOf(fields.protocol);
    if (typeof name !== 'string' || (name !== '' && !isLabel(name)) || protocol === undefined || !isPort(fields.port)) {
      warn('bad-port', `${quotePort(fields)} is unusable: left out`);
      continue;
    }
    const port = fields.port;
    const [byName, byPort] = [`${protocol} name ${name}`, `${protocol} port ${port}`];
    if (taken.has(byName) || taken.has(byPort)) {
      warn('bad-port', `${quotePort(fields)} repeats an earlier port: left out`);
      continue;
    }
    const given = fields.nodePort ?? 0;
    const isUsable = isPort(given) && !taken.has(`${protocol} node port ${given}`);
    if (!isUsable && given !== 0) warn('bad-port', `node port ${quote(given)} is unusable: left out`);
    const nodePort = isUsable ? given : 0;
    taken.add(byName).add(byPort).add(`${protocol} node port ${nodePort}`);
    ports.push({ name, protocol, port, nodePort });
  }
  return ports;
}

function decodeAffinity(spec: Fields, warn: WarnOf): number {
  if (spec.sessionAffinity !== 'ClientIP') return 0;
  const seconds = fieldsOf(fieldsOf(spec.sessionAffinityConfig).clientIP).timeoutSeconds ?? defaultAffinitySeconds;
  if (isWholeWithin(seconds, 1, longestAffinitySeconds)) return seconds;
  warn('bad-affinity', `session affinity of ${quote(seconds)} seconds is unusable: ${defaultAffinitySeconds} are used`);
  return defaultAffinitySeconds;
}

/** Source ranges that let nobody in: no packet comes from these addresses. */
const nobody = ['255.255.255.255/32', '::/128'];

/**
 * A /0 admits its whole family. A value that is not a list of texts is possible only in a file. It admits nobody, because an empty list
 * would admit everyone.
 */
function decodeSourceRanges(spec: Fields, warn: WarnOf): string[] {
  const given = spec.loadBalancerSourceRanges ?? [];
  const ranges: readonly unknown[] = Array.isArray(given) ? given : [given];
  const cidrs = ranges.flatMap((value) => {
    const cidr = Array.isArray(given) ? parseCidr(textOf(value).trim()) : undefined;
    if (cidr === undefined) warn('bad-cidr', `loadBalancerSourceRanges: ${quote(value)} is not a CIDR: left out`);
    return cidr ?? [];
  });
  if (cidrs.length === 0 && (ranges !== given || ranges.some((value) => typeof value !== 'string'))) return nobody;
  const limited = families.filter((family) => !cidrs.some((cidr) => cidr.family === family && cidr.prefix === 0));
  return [...new Set(cidrs.filter(({ family }) => limited.includes(family)).map(formatCidr))];
}

/** Leaves out addresses with ipMode Proxy (KEP-1860): their traffic must go through the load balancer. */
function decodeLoadBalancerIPs(object: unknown, warn: WarnOf): string[] {
  const ingress = listOf(fieldsOf(fieldsOf(fieldsOf(object).status).loadBalancer).ingress).map(fieldsOf);
  const served = ingress.filter(({ ip, ipMode }) => ip !== undefined && ip !== null && (ipMode ?? 'VIP') === 'VIP');
  return decodeAddresses(
    served.map(({ ip }) => ip),
    'status.loadBalancer.ingress',
    warn,
  );
}

/** The policy counts only when traffic can come from outside the cluster. */
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
  warn(
    'bad-port',
    'externalTrafficPolicy is Local, but there is no healthCheckNodePort: load balancers cannot check this node',
  );
  return 0;
}

/**
 * Decodes a core/v1 Service. Warns about unusable parts and leaves them out. Returns undefined when it has no usable name. Of a Service
 * that is not proxied, returns only the name and the reason.
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
