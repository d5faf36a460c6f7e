/** The matches of iptables-save, as functions of a packet. */
import { protocolNameOf } from '../model/protocol';
import { type Cidr, addressBits, addressWidth, familyOf, hostCidr, parseCidr } from '../model/address';
import { runFilter } from './bpf';
import { memoized } from './memoized';
import type { MatchContext, PacketState } from './packet';

export interface Match {
  /** The probability that it matches, 0 to 1. */
  readonly chance: (packet: PacketState, context: MatchContext) => number;
  /** What it does to a packet that matches. */
  readonly effect?: (packet: PacketState) => PacketState;
}

/** Thrown for a rule that the parser does not understand. */
export class UnknownRule extends Error {}

export function unknown(what: string): UnknownRule {
  return new UnknownRule(`the tracer does not know ${what}`);
}

/** The options of matches that take one value. */
export const valueMatches: Readonly<Record<string, (value: string) => Match['chance']>> = {
  '-s': (value) => matchSource(value),
  '-d': (value) => matchDestination(value),
  '-i': (value) => matchDevice('inDevice', value),
  '-o': (value) => matchDevice('outDevice', value),
  '-p': (value) => (packet) => Number(packet.protocol === value),
  '--dport': (value) => {
    const [low, high] = parsePorts(value);
    return ({ port }) => Number(low <= port && port <= high);
  },
  '--src-type': (value) => matchType('source', value),
  '--dst-type': (value) => matchType('destination', value),
  '--ctstate': (value) => {
    const states = value.split(',');
    for (const state of states)
      if (!['NEW', 'INVALID', 'RELATED', 'ESTABLISHED', 'DNAT'].includes(state)) throw unknown(`state ${state}`);
    return ({ isDnated }) => Number(states.includes('NEW') || (isDnated && states.includes('DNAT')));
  },
  '--ctstatus': (value) => {
    if (value !== 'CONFIRMED') throw unknown(`status ${value}`);
    // The first packet of a connection is confirmed only when it leaves.
    return () => 0;
  },
  // Only rules that count have it, so it matches always.
  '--ctorigdst': () => () => 1,
  '--mark': (value) => {
    const [wanted = 0, mask = 0xffffffff] = value.split('/').map(Number);
    return ({ mark }) => Number((mark & mask) === (wanted | 0));
  },
  '--bytecode': (value) => (packet) => Number(runFilter(value, packet) !== 0),
  '--vproto': (value) => {
    const protocol = protocolNameOf(Number(value));
    return ({ virtual, protocol: own }) => Number(virtual !== undefined && own === protocol);
  },
  '--vaddr': (value) => {
    const address = value.split('/')[0];
    return ({ virtual }) => Number(virtual?.address === address);
  },
  '--vport':
    (value) =>
    ({ virtual }) =>
      Number(virtual?.port === Number(value)),
};

export function parsePorts(value: string): readonly [number, number] {
  const [low = 0, high = low] = value.split(':').map(Number);
  return [low, high];
}

export function parseNetwork(value: string): Cidr {
  const cidr = parseCidr(value.includes('/') ? value : hostCidr(value));
  if (cidr === undefined) throw unknown(`address ${value}`);
  return cidr;
}

const bitsOf = memoized(addressBits);

function isWithin({ family, address, prefix }: Cidr): (other: string) => boolean {
  const shift = BigInt(addressWidth(family) - prefix);
  const network = addressBits(address) >> shift;
  return (other) => familyOf(other) === family && bitsOf(other) >> shift === network;
}

function matchDestination(value: string): Match['chance'] {
  const cidr = parseNetwork(value);
  if (cidr.prefix === addressWidth(cidr.family)) return ({ destination }) => Number(destination === cidr.address);
  const within = isWithin(cidr);
  return ({ destination }) => Number(within(destination));
}

function matchSource(value: string): Match['chance'] {
  const cidr = parseNetwork(value);
  const text = `${cidr.address}/${cidr.prefix}`;
  const isHost = cidr.prefix === addressWidth(cidr.family);
  const within = isWithin(cidr);
  return ({ source }, { onSource }) => {
    onSource?.(text);
    return Number(isHost ? source === cidr.address : within(source));
  };
}

function matchDevice(end: 'inDevice' | 'outDevice', value: string): Match['chance'] {
  if (!value.endsWith('+')) return (packet) => Number(packet[end] === value);
  return (packet) => Number(packet[end].startsWith(value.slice(0, -1)));
}

function matchType(end: 'source' | 'destination', value: string): Match['chance'] {
  if (value !== 'LOCAL') throw unknown(`address type ${value}`);
  return (packet, { node }) => Number(node.isLocal(packet[end]));
}
