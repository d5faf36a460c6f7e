/** Reads a client and a target from the command line and looks them up in the cluster. */
import { type Family, families, familyOf, joinHostPort, parseAddress } from '../model/address';
import { type ClusterState, type EndpointSlice, type SliceEndpoint, serviceKey } from '../model/cluster';
import type { Protocol } from '../model/protocol';
import { suggest } from '../model/nearest-name';
import { UserError } from '../model/user-error';
import { isIn, usualOutside } from '../compare/sources';
import type { NodeSettings } from '../planner/plan';

/** An address, protocol and port to which a connection is opened. */
export interface Target {
  /** Canonical. */
  readonly address: string;
  readonly port: number;
  readonly protocol: Protocol;
}

export interface Client {
  readonly kind: 'pod' | 'node' | 'outside';
  /** Canonical. */
  readonly address: string;
  /** `shop/web-1` from the slice's targetRef. '' if it is not a known pod. */
  readonly pod: string;
  /** The node on which the pod runs. '' if unknown, and for other clients. */
  readonly nodeName: string;
}

const protocols: readonly Protocol[] = ['TCP', 'UDP', 'SCTP'];

/** Reads `10.96.0.10:80`, `[fd00::a]:53/udp` or `shop/web:80`, which is the Service's first cluster IP. Throws UserError. */
export function parseTarget(text: string, cluster: ClusterState): Target {
  const [, end = '', word = 'tcp'] = /^(.*?)(?:\/(tcp|udp|sctp))?$/i.exec(text.trim()) ?? [];
  const protocol = protocols.find((one) => one === word.toUpperCase()) ?? 'TCP';
  const [, host = '', number = ''] = /^(.+):([^:]+)$/.exec(end) ?? [];
  const address = parseAddress(host.replace(/^\[(.*)\]$/, '$1'));
  const port = /^\d{1,5}$/.test(number) ? Number(number) : 0;
  if (address !== undefined && port > 0 && port < 65_536) return { address, port, protocol };
  const found = host.includes('/') ? findServicePort(host, number, protocol, cluster) : undefined;
  if (found !== undefined) return found;
  throw new UserError(`"${text}" is not a destination: use 10.96.0.10:80, [fd00::a]:53/udp, or NAMESPACE/SERVICE:PORT`);
}

/** Returns the family of a destination that is an address. Returns undefined for a Service: its family is in the cluster. */
export function familyOfTarget(text: string): Family | undefined {
  const [, host = ''] = /^\[?([^\]]+)\]?:[^:]+$/.exec(text.trim()) ?? [];
  const address = parseAddress(host);
  return address === undefined ? undefined : familyOf(address);
}

function findServicePort(
  name: string,
  port: string,
  protocol: Protocol,
  { services }: ClusterState,
): Target | undefined {
  const [namespace = '', rest = ''] = name.split('/');
  const service = services.get(serviceKey(namespace, rest));
  if (service === undefined) throw unknownName('Service', name, services.keys());
  const address = families.map((family) => service.clusterIPs[family]).find((ip) => ip !== undefined);
  if (address === undefined) throw new UserError(`Service ${name} has no cluster IP: use an address instead`);
  const found = service.ports.find(
    (one) => one.protocol === protocol && (one.name === port || one.port.toString() === port),
  );
  if (found !== undefined) return { address, port: found.port, protocol };
  const has = service.ports.map((one) => `${one.port}/${one.protocol.toLowerCase()}${one.name && ` (${one.name})`}`);
  throw new UserError(`Service ${name} has no port ${port}/${protocol.toLowerCase()}; it has ${has.join(', ')}`);
}

/** The message has one line and suggests the nearest name. */
export function unknownName(what: string, name: string, known: Iterable<string>): UserError {
  return new UserError(`there is no ${what} ${name}${suggest(name, known)}`);
}

/** Reads `node`, `outside`, `pod shop/web-1`, `pod/shop/web-1` or an address. `family` is the target's. Throws UserError. */
export function parseClient(text: string, family: Family, cluster: ClusterState, settings: NodeSettings): Client {
  const words = text.trim();
  if (words === 'outside') return { kind: 'outside', address: usualOutside[family], pod: '', nodeName: '' };
  if (words === 'node') return { kind: 'node', address: nodeAddress(family, settings), pod: '', nodeName: '' };
  const [, pod] = /^pod[ /](.+)$/.exec(words) ?? [];
  if (pod !== undefined) return findPod(pod, family, cluster);
  const address = parseAddress(words);
  if (address === undefined)
    throw new UserError(`"${text}" is not a client: use an address, pod NAMESPACE/NAME, node, or outside`);
  if (familyOf(address) !== family) throw new UserError(`${address} cannot connect to an ${family} address`);
  return classify(address, cluster, settings);
}

function nodeAddress(family: Family, { nodeIPs, hostAddresses = [] }: NodeSettings): string {
  const address = nodeIPs[family] ?? hostAddresses.find((one) => familyOf(one) === family);
  if (address === undefined)
    throw new UserError(`the node's ${family} address is unknown: give the name of its Node with --node`);
  return address;
}

function classify(address: string, cluster: ClusterState, settings: NodeSettings): Client {
  const isOwn = settings.nodeIPs[familyOf(address)] === address || settings.hostAddresses?.includes(address) === true;
  if (isOwn) return { kind: 'node', address, pod: '', nodeName: '' };
  for (const { slice, endpoint } of endpointsOf(cluster))
    if (endpoint.address === address) return clientOf(slice, endpoint);
  return { kind: isPodAddress(address, settings) ? 'pod' : 'outside', address, pod: '', nodeName: '' };
}

function isPodAddress(address: string, { localDetector }: NodeSettings): boolean {
  const detector = localDetector[familyOf(address)];
  return detector.kind === 'cidr' && isIn(detector.cidr, address);
}

function findPod(name: string, family: Family, cluster: ClusterState): Client {
  for (const { slice, endpoint } of endpointsOf(cluster)) {
    const client = clientOf(slice, endpoint);
    if (client.pod === name && familyOf(endpoint.address) === family) return client;
  }
  throw unknownName('pod behind a Service of the name', name, podNames(cluster));
}

/** Returns the names of all pods in slices, such as `shop/web-1`. */
export function podNames(cluster: ClusterState): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { slice, endpoint } of endpointsOf(cluster)) names.add(podOf(slice, endpoint.target));
  names.delete('');
  return names;
}

/** Returns the node on which the pod of `pod shop/web-1` runs, or '' for other clients and if it is unknown. */
export function nodeOfClient(text: string, cluster: ClusterState): string {
  const [, pod] = /^pod[ /](.+)$/.exec(text.trim()) ?? [];
  if (pod === undefined) return '';
  for (const { slice, endpoint } of endpointsOf(cluster))
    if (podOf(slice, endpoint.target) === pod) return endpoint.nodeName;
  return '';
}

function clientOf(slice: EndpointSlice, { address, target, nodeName }: SliceEndpoint): Client {
  return { kind: 'pod', address, pod: podOf(slice, target), nodeName };
}

/** Returns `shop/web-1`, or '' if the target is not a pod. */
export function podOf({ namespace }: Pick<EndpointSlice, 'namespace'>, target: string): string {
  return target.startsWith('Pod/') ? `${namespace}/${target.slice(4)}` : '';
}

/** The endpoints of all Services. */
export function* endpointsOf(
  cluster: ClusterState,
): Generator<{ readonly slice: EndpointSlice; readonly endpoint: SliceEndpoint }> {
  for (const key of cluster.services.keys())
    for (const slice of cluster.slicesOf(key)) for (const endpoint of slice.endpoints) yield { slice, endpoint };
}

export function printTarget({ address, port, protocol }: Target): string {
  return `${joinHostPort(address, port)}/${protocol.toLowerCase()}`;
}

export function printClient({ kind, address, pod, nodeName }: Client): string {
  const where = nodeName === '' ? '' : ` on ${nodeName}`;
  switch (kind) {
    case 'node':
      return `the node (${address})`;
    case 'outside':
      return `a client outside (${address})`;
    case 'pod':
      return `${pod === '' ? 'a pod' : `pod ${pod}`} (${address})${where}`;
  }
}
