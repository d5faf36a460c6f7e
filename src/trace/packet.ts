/** A new connection on its way through a node's rules, whoever wrote them and in whichever tool's words. */
import type { Family } from '../model/address';
import type { IpSets } from './ip-sets';

import type { ProtocolName } from '../model/protocol';

export interface Connection {
  readonly protocol: ProtocolName | 'icmp';
  /** The node's own packets may leave it to the node's routes. */
  readonly source?: string;
  readonly destination: string;
  /** 0 where the protocol has none. */
  readonly port: number;
  /** Where it comes in; '' for the node's own. */
  readonly device: string;
  /** Affinity lists that have the client. */
  readonly recent?: ReadonlySet<string>;
}

/** A rule that a packet matched. */
export interface MatchedRule {
  /** `nat`, `filter`; of nftables the table's name; `ipvs` for a virtual server. */
  readonly table: string;
  readonly chain: string;
  /** As the tool prints it, without the chain. */
  readonly text: string;
}

/** The last one first. */
export interface Trail {
  readonly rule: MatchedRule;
  readonly before: Trail | undefined;
}

/** A packet on its way through the hooks; never changed in place. */
export interface PacketState {
  readonly family: Family;
  readonly protocol: Connection['protocol'];
  readonly source: string;
  readonly destination: string;
  /** 0 where the protocol has none. */
  readonly port: number;
  /** '' before an incoming packet's route is known, and where there is none: in OUTPUT, in PREROUTING. */
  readonly inDevice: string;
  readonly outDevice: string;
  readonly mark: number;
  readonly isDnated: boolean;
  readonly isMasqueraded: boolean;
  /** What the client asked for, once IPVS sent it on. */
  readonly virtual?: { readonly address: string; readonly port: number };
  /** Affinity lists that have this client by now. */
  readonly recent: ReadonlySet<string>;
  /** For how long the list that decided remembers; 0: none did. */
  readonly rememberedSeconds: number;
  readonly probability: number;
  /** Rules whose matches were looked at. */
  readonly rulesWalked: number;
  readonly trail: Trail | undefined;
}

/** What rules ask of the machine. */
export interface TracedNode {
  isLocal(address: string): boolean;
  /** Throws where there is no route. */
  deviceTo(destination: string): string;
  /** The node's address on the way there. */
  sourceTo(destination: string): string;
}

/** What matches are asked with. */
export interface MatchContext {
  readonly node: TracedNode;
  readonly sets?: IpSets;
  /** Told every CIDR that a packet's source was held against. */
  readonly onSource?: (cidr: string) => void;
}

export interface Outcome {
  /**
   * forwarded: to another destination than the client's. untouched: on its way to the client's. local: to the node itself, which
   * the client asked for. unknown: by a rule that is not understood.
   */
  readonly kind: 'forwarded' | 'untouched' | 'local' | 'refused' | 'dropped' | 'unknown';
  /** Where it was on its way to in the end. */
  readonly address: string;
  readonly port: number;
  /** The client's address as the destination sees it. */
  readonly source: string;
  readonly isMasqueraded: boolean;
  readonly recent: ReadonlySet<string>;
  /** 0: it was not for a client that was remembered. */
  readonly rememberedSeconds: number;
  readonly probability: number;
  /** Of all hooks; the most where several ways lead to this outcome. */
  readonly rulesWalked: number;
  /** Those that it matched, in order, by the first of these ways. */
  readonly rules: readonly MatchedRule[];
}

/** Where a packet is sent: by a rule; by a chain (never to the next rule); by a hook (never back to the caller either). */
export interface Sent<
  Verdict = 'accept' | 'drop' | 'reject' | 'unknown' | 'return' | 'next' | { readonly goto: string },
> {
  readonly verdict: Verdict;
  readonly packet: PacketState;
}
export type Left = Sent<'accept' | 'drop' | 'reject' | 'unknown' | 'return'>;
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

/** All outcomes, the most probable first; their probabilities add up to 1. */
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
