/** What a set says about a packet. */
import { cidrContains } from '../model/address';
import type { MatchContext, PacketState } from './packet';

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
