/**
 * The ipsets of IPVS mode. Names, types and parameters are kube-proxy's where a set means what its set means: `create -exist`
 * fails on a set with other parameters, so that after a swap or a rollback either finds the other's sets as its own.
 */
import type { Cidr, Family } from '../../../model/address';
import { addressWidth } from '../../../model/address';
import { type Protocol, protocolName } from '../../../model/protocol';

const setTypes = {
  /** Endpoints on this node, each with itself as the source: hairpin. */
  'KUBE-LOOP-BACK': 'hash:ip,port,ip',
  'KUBE-CLUSTER-IP': 'hash:ip,port',
  'KUBE-EXTERNAL-IP': 'hash:ip,port',
  /** External IPs under externalTrafficPolicy Local; not in KUBE-EXTERNAL-IP. */
  'KUBE-EXTERNAL-IP-LOCAL': 'hash:ip,port',
  /** Every load-balancer VIP. */
  'KUBE-LOAD-BALANCER': 'hash:ip,port',
  /** Those with source ranges. */
  'KUBE-LOAD-BALANCER-FW': 'hash:ip,port',
  /** Those under externalTrafficPolicy Local. */
  'KUBE-LOAD-BALANCER-LOCAL': 'hash:ip,port',
  /** VIPs that may connect to themselves, since their ranges have this node. */
  'KUBE-LOAD-BALANCER-SOURCE-IP': 'hash:ip,port,ip',
  'KUBE-LOAD-BALANCER-SOURCE-CIDR': 'hash:ip,port,net',
  'KUBE-NODE-PORT-TCP': 'bitmap:port',
  'KUBE-NODE-PORT-UDP': 'bitmap:port',
  /** With the node's addresses: a bitmap tells no SCTP. */
  'KUBE-NODE-PORT-SCTP-HASH': 'hash:ip,port',
  /** Node ports under externalTrafficPolicy Local; in the sets above too. */
  'KUBE-NODE-PORT-LOCAL-TCP': 'bitmap:port',
  'KUBE-NODE-PORT-LOCAL-UDP': 'bitmap:port',
  'KUBE-NODE-PORT-LOCAL-SCTP-HASH': 'hash:ip,port',
  'KUBE-HEALTH-CHECK-NODE-PORT': 'bitmap:port',
  /** Every address of kube-ipvs0. */
  'KUBE-IPVS-IPS': 'hash:ip',
  /** Ours: VIPs under externalTrafficPolicy Local, each with the mark of the virtual server for clients of this node. */
  'KUBE-IPVS-LOCAL': 'hash:ip,port skbinfo',
  /** Ours: where new connections are dropped, since others could serve and nobody here may. NodePorts with their addresses. */
  'KUBE-IPVS-DROP': 'hash:ip,port',
  /** Ours: the node's addresses on which NodePorts answer. */
  'KUBE-IPVS-NODE-IPS': 'hash:ip',
  /** Ours: marks whose virtual servers are ours, from before they come until they have gone. */
  'KUBE-IPVS-MARKS': 'bitmap:port',
} as const;

export type SetName = keyof typeof setTypes;
export type SetType = (typeof setTypes)[SetName];
export const setNames = Object.keys(setTypes) as readonly SetName[];

/** Elements that a set with kube-proxy's parameters holds at most. */
export const sharedSetLimit = 65_536;
/** Of sets that are ours alone; only a limit, no memory is kept for it. */
const ownSetLimit = 1_048_576;
/** The kernel's limit (IPSET_MAXNAMELEN less the final NUL). */
const maxSetName = 31;
/** kube-proxy has none of these, and so they need not have its parameters. */
export const ownSets: ReadonlySet<SetName> = new Set([
  'KUBE-IPVS-LOCAL',
  'KUBE-IPVS-DROP',
  'KUBE-IPVS-NODE-IPS',
  'KUBE-IPVS-MARKS',
]);

function isBitmap(set: SetName): boolean {
  return setTypes[set] === 'bitmap:port';
}

/** `KUBE-6-CLUSTER-IP`; one that is too long is cut, as kube-proxy does. */
function nameOf(family: Family, name: string): string {
  return family === 'IPv4' ? name : name.replace('KUBE-', 'KUBE-6-').slice(0, maxSetName);
}

/** The set's name in the kernel. */
export function setName(family: Family, set: SetName): string {
  return nameOf(family, set);
}

/**
 * The name of the set of ours that stands in for one of kube-proxy's which would have to hold more than it can:
 * `KUBE-LB-SOURCE-CIDR-BIG`. undefined: this set needs none.
 */
export function bigSetName(family: Family, set: SetName): string | undefined {
  if (isBitmap(set) || ownSets.has(set)) return undefined;
  const short = set.replace('LOAD-BALANCER', 'LB').replace('NODE-PORT', 'NP');
  return nameOf(family, `${short.replace(/-HASH$/, '')}-BIG`);
}

/** What a set of the kernel's is to us. */
export interface KnownSet {
  readonly family: Family;
  readonly type: SetType;
  /**
   * What `create` says after the name, less the size of the hash, which grows by itself and which the kernel does not
   * compare: `hash:ip,port family inet maxelem 65536`.
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
    setNames.flatMap((set): [string, KnownSet][] => {
      const type = setTypes[set];
      const limit = ownSets.has(set) ? ownSetLimit : sharedSetLimit;
      const own: [string, KnownSet] = [setName(family, set), knownSet(family, type, limit)];
      const big = bigSetName(family, set);
      return big === undefined ? [own] : [own, [big, knownSet(family, type, ownSetLimit)]];
    }),
  ),
);

/** Sets of earlier versions of kube-proxy, by their names in the kernel: known only to be removed. */
export const formerSets: ReadonlySet<string> = new Set(
  ['KUBE-LOAD-BALANCER-MASQ', 'KUBE-NODE-PORT-SCTP', 'KUBE-NODE-PORT-LOCAL-SCTP'].flatMap((name) => [
    name,
    nameOf('IPv6', name),
  ]),
);

/** As the kernel numbers those that a set tells apart. */

/** Of hash:ip,port: `10.96.0.10,tcp:80`. Elements are as `ipset save` prints them, since texts are compared. */
export function ipPortElement(canonicalAddress: string, protocol: Protocol, port: number): string {
  return `${canonicalAddress},${protocolName(protocol)}:${port}`;
}

/** Of hash:ip,port,ip. */
export function ipPortIpElement(canonicalAddress: string, protocol: Protocol, port: number, source: string): string {
  return `${ipPortElement(canonicalAddress, protocol, port)},${source}`;
}

/** Of hash:ip,port,net, which takes no /0; a net of one address is that address: `10.96.0.10,tcp:80,192.0.2.0/24`. */
export function ipPortNetElement(canonicalAddress: string, protocol: Protocol, port: number, source: Cidr): string {
  const { address, prefix } = source;
  const net = prefix === addressWidth(source.family) ? address : `${address}/${prefix}`;
  return ipPortIpElement(canonicalAddress, protocol, port, net);
}

/** Options of an element of KUBE-IPVS-LOCAL: the whole mark, which `ipset save` prints without its mask. */
export function markOptions(mark: number): string {
  return `skbmark 0x${mark.toString(16)}`;
}

/** Of an element's options; undefined: it has none. */
export function parseMark(options: string): number | undefined {
  const [, mark] = /^skbmark 0x([0-9a-f]+)/.exec(options) ?? [];
  return mark === undefined ? undefined : parseInt(mark, 16);
}
