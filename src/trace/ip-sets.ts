/**
 * Sets as `ipset save` prints them, to hold packets against:
 *
 *   create KUBE-CLUSTER-IP hash:ip,port family inet hashsize 1024 maxelem 65536
 *   add KUBE-CLUSTER-IP 10.96.0.10,tcp:80
 *   add KUBE-IPVS-LOCAL 203.0.113.1,tcp:80 skbmark 0x100001
 */
import { addressWidth, type Cidr, cidrContains, familyOf, parseCidr } from '../model/address';
import type { MatchContext, PacketState } from './packet';

export interface IpSet {
  readonly type: string;
  readonly family: string;
  /** Entry -> options. */
  readonly elements: Map<string, string>;
  /** Of a set with nets: their lengths of prefix, by what stands before the net. */
  readonly nets: Map<string, Cidr[]>;
}

export type IpSets = ReadonlyMap<string, IpSet>;

const protocolNames: Readonly<Record<string, string>> = { '6': 'tcp', '17': 'udp', '132': 'sctp' };

export function parseIpSets(text: string): IpSets {
  const sets = new Map<string, IpSet>();
  for (const line of text.split('\n')) {
    const [command, name = '', third = '', ...rest] = line.trimEnd().split(' ');
    if (command === 'create') {
      const family = rest[rest.indexOf('family') + 1] === 'inet6' ? 'IPv6' : 'IPv4';
      sets.set(name, { type: third, family, elements: new Map(), nets: new Map() });
    } else if (command === 'add') {
      const entry = third.replace(/,(6|17|132):/, (_, number: string) => `,${protocolNames[number] ?? number}:`);
      const set = sets.get(name);
      set?.elements.set(entry, rest.join(' '));
      if (set?.type.endsWith('net') === true) addNet(set, entry);
    }
  }
  return sets;
}

function addNet({ nets }: IpSet, entry: string): void {
  const comma = entry.lastIndexOf(',');
  const text = entry.slice(comma + 1);
  const cidr = parseCidr(text.includes('/') ? text : `${text}/${addressWidth(familyOf(text))}`);
  if (cidr === undefined) return;
  const head = entry.slice(0, comma);
  const list = nets.get(head);
  if (list === undefined) nets.set(head, [cidr]);
  else list.push(cidr);
}

/** The entry that the packet would be, for these directions: `dst,dst,src`. */
function entryOf(type: string, directions: readonly string[], packet: PacketState): string {
  const parts: string[] = [];
  const words = type.slice(type.indexOf(':') + 1).split(',');
  for (const [i, word] of words.entries()) {
    const isSource = directions[i] === 'src';
    if (word !== 'port') parts.push(isSource ? packet.source : packet.destination);
    else if (type.startsWith('bitmap')) parts.push(packet.port.toString());
    // Of kube-proxy's rules none asks for a source port: `src,dst` is the address of the source.
    else parts.push(`${packet.protocol}:${packet.port}`);
  }
  return parts.join(',');
}

/** False where there is no such set: the kernel would have refused the rule. */
export function matchIpSet(
  name: string,
  directionsText: string,
  packet: PacketState,
  { sets, onSource }: MatchContext,
): boolean {
  const set = sets?.get(name);
  if (set === undefined) return false;
  const directions = directionsText.split(',');
  const entry = entryOf(set.type, directions, packet);
  const isNet = set.type.endsWith('net');
  const head = entry.slice(0, entry.lastIndexOf(','));
  if (isNet) {
    const nets = set.nets.get(head) ?? [];
    for (const { address, prefix } of nets) onSource?.(`${address}/${prefix}`);
    return nets.some((net) => cidrContains(net, packet.source));
  }
  return set.elements.has(entry);
}

/** undefined: the set has none for it. */
export function markOfIpSet(
  name: string,
  directions: string,
  packet: PacketState,
  { sets }: MatchContext,
): number | undefined {
  const set = sets?.get(name);
  const options = set?.elements.get(entryOf(set.type, directions.split(','), packet));
  const [, mark] = /^skbmark (0x[\da-f]+)/.exec(options ?? '') ?? [];
  return mark === undefined ? undefined : Number(mark);
}
