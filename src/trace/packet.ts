/** A new connection on its way through a node's rules, whoever wrote them and with whatever tool. */
import type { Family } from '../model/address';
import type { ProtocolName } from '../model/protocol';
import type { IpSets } from './ip-sets';

export interface Connection {
  readonly protocol: ProtocolName | 'icmp';
  /** May be left out for the node's own packets: the node's routes then decide it. */
  readonly source?: string;
  readonly destination: string;
  /** 0 if the protocol has no ports. */
  readonly port: number;
  /** The interface at which it comes in, or '' for the node's own. */
  readonly device: string;
  /** The affinity lists that contain the client. */
  readonly recent?: ReadonlySet<string>;
}

/** A rule that a packet matched. */
export interface MatchedRule {
  /** `nat` or `filter`, the table's name in nftables, or `ipvs` for a virtual server. */
  readonly table: string;
  readonly chain: string;
  /** The rule as the tool prints it, without the chain. */
  readonly text: string;
}

/** The rules that a packet matched, as a linked list that begins with the last one. */
export interface Trail {
  readonly rule: MatchedRule;
  readonly before: Trail | undefined;
}

/** A packet on its way through the hooks. It is never changed in place. */
export interface PacketState {
  readonly family: Family;
  readonly protocol: Connection['protocol'];
  readonly source: string;
  readonly destination: string;
  /** 0 if the protocol has no ports. */
  readonly port: number;
  /** '' in hooks without an incoming interface, such as OUTPUT. */
  readonly inDevice: string;
  /** '' in hooks without an outgoing interface, such as PREROUTING, where the route is not known yet. */
  readonly outDevice: string;
  readonly mark: number;
  /** As nft prints it: `none`, `8c1f:23d0`. */
  readonly priority: string;
  readonly isDnated: boolean;
  readonly isMasqueraded: boolean;
  /** The destination that the client asked for. Set once IPVS has sent the packet on. */
  readonly virtual?: { readonly address: string; readonly port: number };
  /** The affinity lists that contain this client by now. */
  readonly recent: ReadonlySet<string>;
  /** How long the affinity list that decided remembers its clients. 0 if no list decided. */
  readonly rememberedSeconds: number;
  readonly probability: number;
  /** The number of rules whose matches were checked. */
  readonly rulesWalked: number;
  readonly trail: Trail | undefined;
}

/** What the tracer needs to know about the machine. */
export interface TracedNode {
  isLocal(address: string): boolean;
  /** Throws if there is no route. */
  deviceTo(destination: string): string;
  /** The node's address that its packets to this destination have as their source. */
  sourceTo(destination: string): string;
}

/** What matches need besides the packet. */
export interface MatchContext {
  readonly node: TracedNode;
  readonly sets?: IpSets;
  /** Called with every CIDR that a packet's source is compared with. */
  readonly onSource?: (cidr: string) => void;
}

export interface Outcome {
  /**
   * forwarded: sent to another destination than the client asked for. untouched: on its way to the destination that the client
   * asked for. local: delivered to the node itself, as the client asked. unknown: a rule that is not understood decides.
   */
  readonly kind: 'forwarded' | 'untouched' | 'local' | 'refused' | 'dropped' | 'unknown';
  /** The destination that it had in the end. */
  readonly address: string;
  readonly port: number;
  /** The client's address as the destination sees it. */
  readonly source: string;
  readonly isMasqueraded: boolean;
  readonly recent: ReadonlySet<string>;
  /** 0 if the outcome is not due to a client that was remembered. */
  readonly rememberedSeconds: number;
  readonly probability: number;
  /** Over all hooks. The largest number if several ways lead to this outcome. */
  readonly rulesWalked: number;
  /** The rules that it matched on the first of these ways, in order. */
  readonly rules: readonly MatchedRule[];
}

/** What a rule does with a packet. */
export interface Sent<
  Verdict = 'accept' | 'drop' | 'reject' | 'unknown' | 'return' | 'next' | { readonly goto: string },
> {
  readonly verdict: Verdict;
  readonly packet: PacketState;
}
/** How a packet leaves a chain: never to the next rule. */
export type Left = Sent<'accept' | 'drop' | 'reject' | 'unknown' | 'return'>;
/** How a packet leaves a hook: never back to a calling chain either. */
export type Ended = Sent<'accept' | 'drop' | 'reject' | 'unknown'>;

export function startPacket(connection: Connection, family: Family, source: string): PacketState {
  const { protocol, destination, port, device, recent = new Set<string>() } = connection;
  return {
    family,
    protocol,
    source,
    destination,
    port,
    inDevice: device,
    outDevice: '',
    mark: 0,
    priority: 'none',
    isDnated: false,
    isMasqueraded: false,
    recent,
    rememberedSeconds: 0,
    probability: 1,
    rulesWalked: 0,
    trail: undefined,
  };
}

export function accepted(packet: PacketState): Ended[] {
  return [{ verdict: 'accept', packet }];
}

function rulesOf(trail: Trail | undefined): MatchedRule[] {
  const rules: MatchedRule[] = [];
  for (let at = trail; at !== undefined; at = at.before) rules.push(at.rule);
  return rules.reverse();
}

const kindOf = { drop: 'dropped', reject: 'refused', unknown: 'unknown' } as const;

function outcomeOf({ verdict, packet }: Ended, node: TracedNode): Outcome {
  const {
    destination: address,
    port,
    source,
    isMasqueraded,
    recent,
    rememberedSeconds,
    probability,
    rulesWalked,
  } = packet;
  const rest = { address, port, source, isMasqueraded, recent, rememberedSeconds, probability, rulesWalked };
  const kind =
    verdict !== 'accept'
      ? kindOf[verdict]
      : packet.isDnated
        ? 'forwarded'
        : node.isLocal(packet.destination)
          ? 'local'
          : 'untouched';
  return { kind, ...rest, rules: rulesOf(packet.trail) };
}

/** Returns all outcomes, the most probable first. Their probabilities add up to 1. */
export function mergeOutcomes(ended: readonly Ended[], node: TracedNode): Outcome[] {
  const merged = new Map<string, Outcome>();
  for (const end of ended) {
    const outcome = outcomeOf(end, node);
    const { kind, address, port, source, isMasqueraded, recent } = outcome;
    const key = [kind, address, port, source, isMasqueraded, ...[...recent].sort()].join(' ');
    const other = merged.get(key);
    merged.set(
      key,
      other === undefined
        ? outcome
        : {
            ...other,
            probability: outcome.probability + other.probability,
            rulesWalked: Math.max(outcome.rulesWalked, other.rulesWalked),
          },
    );
  }
  return [...merged.values()].sort((a, b) => b.probability - a.probability);
}
