/**
 * What becomes of a new connection on a node with these iptables rules: without root, a kernel or packets. Where dice decide,
 * every outcome with its probability.
 *
 *   from outside   nat PREROUTING -> route -> filter INPUT | filter FORWARD -> nat POSTROUTING
 *   of the node    nat OUTPUT -> filter OUTPUT -> nat POSTROUTING (-> filter INPUT, where it stays)
 */
import { familyOf } from '../../src/model/address';
import type { TracedNode } from './trace-iptables-node';
import type { PacketState, Rule, Target, TracedTable, TracedTables } from './trace-iptables-rules';

export interface Connection {
  readonly protocol: PacketState['protocol'];
  /** The node's own packets may leave it to the node's routes. */
  readonly source?: string;
  readonly destination: string;
  /** 0 where the protocol has none. */
  readonly port: number;
  /** Where it comes in; '' for the node's own. */
  readonly device: string;
  /** Lists of xt_recent that have the client. */
  readonly recent?: ReadonlySet<string>;
}

export interface TracedOutcome {
  /**
   * forwarded: to another destination than the client's. untouched: on its way to the client's. local: to the node itself, which
   * the client asked for.
   */
  readonly kind: 'forwarded' | 'untouched' | 'local' | 'refused' | 'dropped';
  /** Where it was on its way to in the end. */
  readonly address: string;
  readonly port: number;
  /** The client's address as the destination sees it. */
  readonly source: string;
  readonly isMasqueraded: boolean;
  readonly recent: ReadonlySet<string>;
  readonly probability: number;
  /** Of all hooks; the most where several ways lead to this outcome. */
  readonly rulesWalked: number;
}

/** Where a packet is sent: by a rule; by a chain (never to the next rule); by a hook (never back to the caller either). */
interface Sent<Verdict = 'accept' | 'drop' | 'reject' | 'return' | 'next'> {
  readonly verdict: Verdict;
  readonly packet: PacketState;
}
type Left = Sent<'accept' | 'drop' | 'reject' | 'return'>;
type Ended = Sent<'accept' | 'drop' | 'reject'>;

/** All outcomes, the most probable first; their probabilities add up to 1. Throws where the node has no route. */
export function traceConnection(tables: TracedTables, node: TracedNode, connection: Connection): TracedOutcome[] {
  const { destination, port, protocol, device } = connection;
  const start: PacketState = {
    family: familyOf(destination),
    protocol,
    source: connection.source ?? node.sourceTo(destination),
    destination,
    port,
    inDevice: device,
    outDevice: '',
    mark: 0,
    isDnated: false,
    recent: connection.recent ?? new Set(),
    probability: 1,
    rulesWalked: 0,
  };
  const ended = new Trace(tables, node).run(start);
  return mergeOutcomes(ended.map((end) => outcomeOf(end, start, node)));
}

class Trace {
  constructor(
    private readonly tables: TracedTables,
    private readonly node: TracedNode,
  ) {}

  run(start: PacketState): Ended[] {
    const isOwn = start.inDevice === '';
    const outDevice = isOwn ? this.node.deviceTo(start.destination) : '';
    return this.hook('nat', isOwn ? 'OUTPUT' : 'PREROUTING', { ...start, outDevice }, (packet) =>
      isOwn ? this.leave('OUTPUT', packet) : this.route(packet),
    );
  }

  private route(packet: PacketState): Ended[] {
    return this.node.isLocal(packet.destination)
      ? this.hook('filter', 'INPUT', packet, accepted)
      : this.leave('FORWARD', packet);
  }

  private leave(hook: 'OUTPUT' | 'FORWARD', before: PacketState): Ended[] {
    const packet = { ...before, outDevice: this.node.deviceTo(before.destination) };
    return this.hook('filter', hook, packet, (allowed) =>
      this.hook('nat', 'POSTROUTING', allowed, (out) =>
        out.outDevice === 'lo'
          ? this.hook('filter', 'INPUT', { ...out, inDevice: 'lo', outDevice: '' }, accepted)
          : accepted(out),
      ),
    );
  }

  private hook(
    table: 'nat' | 'filter',
    hook: string,
    packet: PacketState,
    onward: (packet: PacketState) => Ended[],
  ): Ended[] {
    const policy = this.tables[table].dropping.has(hook) ? 'drop' : 'accept';
    return this.walk(this.tables[table], hook, packet, 0).flatMap(({ verdict, packet: left }) => {
      const end = verdict === 'return' ? policy : verdict;
      return end === 'accept' ? onward(left) : [{ verdict: end, packet: left }];
    });
  }

  private walk(table: TracedTable, chain: string, packet: PacketState, depth: number): Left[] {
    if (depth > 100) throw new Error(`chains jump in a circle: ${chain}`);
    const left: Left[] = [];
    let here: PacketState[] = [packet];
    for (const rule of table.chains.get(chain) ?? []) {
      const next: PacketState[] = [];
      for (const one of here) {
        const { matched, others } = applyMatches(rule, one, this.node);
        next.push(...others);
        if (matched === undefined) continue;
        for (const { verdict, packet } of this.target(table, rule.target, matched, depth))
          if (verdict === 'next') next.push(packet);
          else left.push({ verdict, packet });
      }
      here = next;
      if (here.length === 0) break;
    }
    return [...left, ...here.map((one): Left => ({ verdict: 'return', packet: one }))];
  }

  private target(table: TracedTable, target: Target | undefined, packet: PacketState, depth: number): Sent[] {
    switch (target?.kind) {
      case undefined:
        return [{ verdict: 'next', packet }];
      case 'jump':
        return this.walk(table, target.chain, packet, depth + 1).map((left) =>
          left.verdict === 'return' ? { verdict: 'next', packet: left.packet } : left,
        );
      case 'ACCEPT':
        return [{ verdict: 'accept', packet }];
      case 'DROP':
        return [{ verdict: 'drop', packet }];
      case 'REJECT':
        return [{ verdict: 'reject', packet }];
      case 'RETURN':
        return [{ verdict: 'return', packet }];
      case 'MARK':
        return [{ verdict: 'next', packet: { ...packet, mark: ((packet.mark & ~target.mask) ^ target.value) >>> 0 } }];
      case 'DNAT': {
        const { address: destination, port } = target;
        return [{ verdict: 'accept', packet: { ...packet, destination, port, isDnated: true } }];
      }
      case 'MASQUERADE':
        return [{ verdict: 'accept', packet: { ...packet, source: this.node.sourceTo(packet.destination) } }];
    }
  }
}

function accepted(packet: PacketState): Ended[] {
  return [{ verdict: 'accept', packet }];
}

/** Matches are asked in order: what one of them does is done though the next says no. */
function applyMatches(
  { matches }: Rule,
  packet: PacketState,
  node: TracedNode,
): { matched: PacketState | undefined; others: PacketState[] } {
  let matched: PacketState = { ...packet, rulesWalked: packet.rulesWalked + 1 };
  const others: PacketState[] = [];
  for (const { chance, effect } of matches) {
    const p = chance(matched, node);
    if (p < 1) others.push({ ...matched, probability: matched.probability * (1 - p) });
    if (p === 0) return { matched: undefined, others };
    matched = { ...matched, probability: matched.probability * p };
    if (effect !== undefined) matched = effect(matched);
  }
  return { matched, others };
}

function outcomeOf({ verdict, packet }: Ended, start: PacketState, node: TracedNode): TracedOutcome {
  const { source, recent, probability, rulesWalked } = packet;
  const rest = {
    address: packet.destination,
    port: packet.port,
    source,
    isMasqueraded: source !== start.source,
    recent,
    probability,
    rulesWalked,
  };
  if (verdict !== 'accept') return { kind: verdict === 'drop' ? 'dropped' : 'refused', ...rest };
  if (packet.isDnated) return { kind: 'forwarded', ...rest };
  return { kind: node.isLocal(packet.destination) ? 'local' : 'untouched', ...rest };
}

function mergeOutcomes(outcomes: readonly TracedOutcome[]): TracedOutcome[] {
  const merged = new Map<string, TracedOutcome>();
  for (const outcome of outcomes) {
    const key = [outcome.kind, outcome.address, outcome.port, outcome.source, ...[...outcome.recent].sort()].join(' ');
    const other = merged.get(key);
    merged.set(key, {
      ...outcome,
      probability: outcome.probability + (other?.probability ?? 0),
      rulesWalked: Math.max(outcome.rulesWalked, other?.rulesWalked ?? 0),
    });
  }
  return [...merged.values()].sort((a, b) => b.probability - a.probability);
}
