/**
 * Reads sets as `ipset save` prints them:
 *
 *   create KUBE-CLUSTER-IP hash:ip,port family inet hashsize 1024 maxelem 65536
 *   add KUBE-CLUSTER-IP 10.96.0.10,tcp:80
 *   add KUBE-IPVS-LOCAL 203.0.113.1,tcp:80 skbmark 0x100001
 */
import { type Cidr, hostCidr, parseCidr } from '../model/address';
import { protocolNameOf } from '../model/protocol';

export interface IpSet {
  readonly type: string;
  readonly family: string;
  /** The options of each entry, by the entry. */
  readonly elements: Map<string, string>;
  /** For a set whose type ends with `net`: the networks, by the part of the entry before the network. */
  readonly nets: Map<string, Cidr[]>;
}

export type IpSets = ReadonlyMap<string, IpSet>;

export function parseIpSets(text: string): IpSets {
  const sets = new Map<string, IpSet>();
  for (const line of text.split('\n')) {
    const [command, name = '', third = '', ...rest] = line.trimEnd().split(' ');
    if (command === 'create') {
      const family = rest[rest.indexOf('family') + 1] === 'inet6' ? 'IPv6' : 'IPv4';
      sets.set(name, { type: third, family, elements: new Map(), nets: new Map() });
    } else if (command === 'add') {
      const entry = third.replace(
        /,(6|17|132):/,
        (_, number: string) => `,${protocolNameOf(Number(number)) ?? number}:`,
      );
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
  const cidr = parseCidr(text.includes('/') ? text : hostCidr(text));
  if (cidr === undefined) return;
  const head = entry.slice(0, comma);
  const list = nets.get(head);
  if (list === undefined) nets.set(head, [cidr]);
  else list.push(cidr);
}
