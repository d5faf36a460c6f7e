/** Looks up packets in sets. */
import { cidrContains } from '../model/address';
import type { MatchContext, PacketState } from './packet';

/** Returns the entry by which the set would contain the packet, for directions such as `dst,dst,src`. */
function entryOf(type: string, directions: readonly string[], packet: PacketState): string {
  const parts: string[] = [];
  const words = type.slice(type.indexOf(':') + 1).split(',');
  for (const [i, word] of words.entries()) {
    const isSource = directions[i] === 'src';
    if (word !== 'port') parts.push(isSource ? packet.source : packet.destination);
    else if (type.startsWith('bitmap')) parts.push(packet.port.toString());
    // None of kube-proxy's rules matches a source port: in `src,dst` only the address is the source's.
    else parts.push(`${packet.protocol}:${packet.port}`);
  }
  return parts.join(',');
}

/** Returns false if there is no such set. The kernel would have refused such a rule. */
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

/** Returns undefined if the set has no mark for the packet. */
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
