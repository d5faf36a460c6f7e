/**
 * The ipsets of IPVS mode. A set with the same meaning as one of kube-proxy's has its name, type and parameters. `create -exist` fails
 * on a set with other parameters. So after a swap or a rollback each proxy can use the other's sets as its own.
 */
import { addressWidth, type Cidr, type Family } from '../../../model/address';
import { type Protocol, protocolName } from '../../../model/protocol';

const sets = [
  // Endpoints on this node, each with itself as the source, for hairpin packets.
  ['KUBE-LOOP-BACK', 'hash:ip,port,ip'],
  ['KUBE-CLUSTER-IP', 'hash:ip,port'],
  ['KUBE-EXTERNAL-IP', 'hash:ip,port'],
  // External IPs with externalTrafficPolicy Local. They are not in KUBE-EXTERNAL-IP.
  ['KUBE-EXTERNAL-IP-LOCAL', 'hash:ip,port'],
  // Every load-balancer VIP.
  ['KUBE-LOAD-BALANCER', 'hash:ip,port'],
  // Load-balancer VIPs with source ranges.
  ['KUBE-LOAD-BALANCER-FW', 'hash:ip,port'],
  // Load-balancer VIPs with externalTrafficPolicy Local.
  ['KUBE-LOAD-BALANCER-LOCAL', 'hash:ip,port'],
  // VIPs that may connect to themselves, because their source ranges contain this node.
  ['KUBE-LOAD-BALANCER-SOURCE-IP', 'hash:ip,port,ip'],
  ['KUBE-LOAD-BALANCER-SOURCE-CIDR', 'hash:ip,port,net'],
  ['KUBE-NODE-PORT-TCP', 'bitmap:port'],
  ['KUBE-NODE-PORT-UDP', 'bitmap:port'],
  // With the node's addresses, because a bitmap cannot tell SCTP ports.
  ['KUBE-NODE-PORT-SCTP-HASH', 'hash:ip,port'],
  // Node ports with externalTrafficPolicy Local. They are in the sets above too.
  ['KUBE-NODE-PORT-LOCAL-TCP', 'bitmap:port'],
  ['KUBE-NODE-PORT-LOCAL-UDP', 'bitmap:port'],
  ['KUBE-NODE-PORT-LOCAL-SCTP-HASH', 'hash:ip,port'],
  ['KUBE-HEALTH-CHECK-NODE-PORT', 'bitmap:port'],
  // Every address of kube-ipvs0.
  ['KUBE-IPVS-IPS', 'hash:ip'],
  // Ours: VIPs with externalTrafficPolicy Local, each with the mark of the virtual server for clients on this node.
  ['KUBE-IPVS-LOCAL', 'hash:ip,port skbinfo'],
  // Ours: frontends whose new connections are dropped, because only other nodes have endpoints. NodePorts with their addresses.
  ['KUBE-IPVS-DROP', 'hash:ip,port'],
  // Ours: the node's addresses on which NodePorts answer.
  ['KUBE-IPVS-NODE-IPS', 'hash:ip'],
  // Ours: the marks of our virtual servers, from before the servers are added until after they are removed.
  ['KUBE-IPVS-MARKS', 'bitmap:port'],
] as const;

export type SetName = (typeof sets)[number][0];
export type SetType = (typeof sets)[number][1];
export const setNames = sets.map(([name]) => name);

/** The most elements that a set with kube-proxy's parameters can hold. */
export const sharedSetLimit = 65_536;
/** The same for sets that are ours alone. It is only a limit; no memory is reserved for it. */
const ownSetLimit = 1_048_576;
/** The kernel's limit: IPSET_MAXNAMELEN without the final NUL. */
const maxSetName = 31;
/** kube-proxy does not have these sets, so they need not have its parameters. */
export const ownSets: ReadonlySet<SetName> = new Set([
  'KUBE-IPVS-LOCAL',
  'KUBE-IPVS-DROP',
  'KUBE-IPVS-NODE-IPS',
  'KUBE-IPVS-MARKS',
]);

const bitmaps: ReadonlySet<SetName> = new Set(sets.flatMap(([name, type]) => (type === 'bitmap:port' ? name : [])));

/** `KUBE-6-CLUSTER-IP` for IPv6. A name that is too long is cut, as in kube-proxy. */
function nameOf(family: Family, name: string): string {
  return family === 'IPv4' ? name : name.replace('KUBE-', 'KUBE-6-').slice(0, maxSetName);
}

/** The set's name in the kernel. */
export function setName(family: Family, set: SetName): string {
  return nameOf(family, set);
}

/**
 * The name of our set that replaces one of kube-proxy's when that would have to hold more than it can, such as
 * `KUBE-LB-SOURCE-CIDR-BIG`. Returns undefined for sets that need no such replacement.
 */
export function bigSetName(family: Family, set: SetName): string | undefined {
  if (bitmaps.has(set) || ownSets.has(set)) return undefined;
  const short = set.replace('LOAD-BALANCER', 'LB').replace('NODE-PORT', 'NP');
  return nameOf(family, `${short.replace(/-HASH$/, '')}-BIG`);
}

/** A set of the kernel that vipwire knows. */
export interface KnownSet {
  readonly family: Family;
  readonly type: SetType;
  /**
   * What follows the name in the `create` line, such as `hash:ip,port family inet maxelem 65536`. The size of the hash is left out: it
   * grows by itself, and the kernel does not compare it.
   */
  readonly parameters: string;
}

function knownSet(family: Family, type: SetType, limit: number): KnownSet {
  if (type === 'bitmap:port') return { family, type, parameters: 'bitmap:port range 0-65535' };
  const [method, extension] = type.split(' ');
  const inet = family === 'IPv4' ? 'inet' : 'inet6';
  const size = `family ${inet} maxelem ${limit}`;
  return { family, type, parameters: [method, size, ...(extension === undefined ? [] : [extension])].join(' ') };
}

/** Every set that is ours or kube-proxy's, by its name in the kernel. */
export const knownSets: ReadonlyMap<string, KnownSet> = new Map(
  (['IPv4', 'IPv6'] as const).flatMap((family) =>
    sets.flatMap(([set, type]): [string, KnownSet][] => {
      const limit = ownSets.has(set) ? ownSetLimit : sharedSetLimit;
      const own: [string, KnownSet] = [setName(family, set), knownSet(family, type, limit)];
      const big = bigSetName(family, set);
      return big === undefined ? [own] : [own, [big, knownSet(family, type, ownSetLimit)]];
    }),
  ),
);

/** Sets of earlier versions of kube-proxy, by their names in the kernel. They are only ever removed. */
export const formerSets: ReadonlySet<string> = new Set(
  ['KUBE-LOAD-BALANCER-MASQ', 'KUBE-NODE-PORT-SCTP', 'KUBE-NODE-PORT-LOCAL-SCTP'].flatMap((name) => [
    name,
    nameOf('IPv6', name),
  ]),
);

/** An entry of hash:ip,port: `10.96.0.10,tcp:80`. Entries are written as `ipset save` prints them, because texts are compared. */
export function ipPortElement(canonicalAddress: string, protocol: Protocol, port: number): string {
  return `${canonicalAddress},${protocolName(protocol)}:${port}`;
}

/** An entry of hash:ip,port,ip. */
export function ipPortIpElement(canonicalAddress: string, protocol: Protocol, port: number, source: string): string {
  return `${ipPortElement(canonicalAddress, protocol, port)},${source}`;
}

/** An entry of hash:ip,port,net: `10.96.0.10,tcp:80,192.0.2.0/24`. The set takes no /0. A net of one address is written without prefix. */
export function ipPortNetElement(canonicalAddress: string, protocol: Protocol, port: number, source: Cidr): string {
  const { address, prefix } = source;
  const net = prefix === addressWidth(source.family) ? address : `${address}/${prefix}`;
  return ipPortIpElement(canonicalAddress, protocol, port, net);
}

/** The options of an element of KUBE-IPVS-LOCAL. `ipset save` prints a mark of all 32 bits without its mask. */
export function markOptions(mark: number): string {
  return `skbmark 0x${mark.toString(16)}`;
}

/** The mark in an element's options, or undefined when there is none. */
export function parseMark(options: string): number | undefined {
  const [, mark] = /^skbmark 0x([0-9a-f]+)/.exec(options) ?? [];
  return mark === undefined ? undefined : parseInt(mark, 16);
}
