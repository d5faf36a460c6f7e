/**
 * Finds out what happens to a new connection on a node with this nftables table. In each hook the chains come in order of priority.
 *
 *   from outside    prerouting -> route -> input | forward -> postrouting
 *   from the node   output -> postrouting (-> input, if it stays on the node)
 */
import { familyOf } from '../model/address';
import { type Mapped, NftActions, type Way } from './nft-actions';
import { fieldsOf, isObject, type Json, type JsonObject, kindOf, textOf } from './nft-json';
import type { NftChain, NftRule, NftTable } from './nft-ruleset';
import { printNftRule } from './nft-text';
import { UnknownNft } from './nft-values';
import {
  accepted,
  type Connection,
  type Ended,
  type Left,
  type MatchContext,
  type MatchedRule,
  mergeOutcomes,
  type Outcome,
  type PacketState,
  type Sent,
  startPacket,
  type TracedNode,
} from './packet';

/** Like traceConnection. */
export function traceNftConnection(
  table: NftTable,
  node: TracedNode,
  connection: Connection,
  onSource?: MatchContext['onSource'],
): Outcome[] {
  const { destination } = connection;
  const start = startPacket(connection, familyOf(destination), connection.source ?? node.sourceTo(destination));
  const context = onSource === undefined ? { node } : { node, onSource };
  return mergeOutcomes(new Trace(table, context).run(start), node);
}

class Trace {
  readonly #actions: NftActions;
  readonly #chainsOf = new Map<string, readonly NftChain[]>();
  readonly #table: NftTable;
  readonly #context: MatchContext;

  constructor(table: NftTable, context: MatchContext) {
    this.#table = table;
    this.#context = context;
    this.#actions = new NftActions(table, context);
  }

  run(start: PacketState): Ended[] {
    const { node } = this.#context;
    const leave = (packet: PacketState): Ended[] => this.#hook('postrouting', packet, accepted);
    // A packet that stays on the node comes in again by lo.
    const leaveOrStay = (packet: PacketState): Ended[] =>
      node.isLocal(packet.destination)
        ? this.#hook('postrouting', packet, (out) => this.#hook('input', { ...out, inDevice: 'lo' }, accepted))
        : leave(packet);
    if (start.inDevice === '') return this.#hook('output', start, leaveOrStay);
    return this.#hook('prerouting', start, (packet) =>
      node.isLocal(packet.destination)
        ? this.#hook('input', packet, accepted)
        : this.#hook('forward', { ...packet, outDevice: node.deviceTo(packet.destination) }, leave),
    );
  }

  #hook(name: string, packet: PacketState, onward: (packet: PacketState) => Ended[]): Ended[] {
    let here = [packet];
    const ended: Ended[] = [];
    for (const chain of this.#baseChains(name)) {
      const next: PacketState[] = [];
      for (const { verdict, packet: left } of here.flatMap((one) => this.#walk(chain.name, one, 0))) {
        // A chain accepts only for itself: the next chain of the hook still sees the packet.
        if (verdict === 'accept' || (verdict === 'return' && chain.hook?.policy !== 'drop')) next.push(left);
        else if (verdict === 'return') ended.push({ verdict: 'drop', packet: left });
        else ended.push({ verdict, packet: left });
      }
      here = next;
    }
    return [...ended, ...here.flatMap(onward)];
  }

  #baseChains(hook: string): readonly NftChain[] {
    const known = this.#chainsOf.get(hook);
    if (known !== undefined) return known;
    const chains = [...this.#table.chains.values()].filter((chain) => chain.hook?.name === hook);
    chains.sort((a, b) => (a.hook?.priority ?? 0) - (b.hook?.priority ?? 0));
    this.#chainsOf.set(hook, chains);
    return chains;
  }

  #walk(name: string, packet: PacketState, depth: number): Left[] {
    if (depth > 100) throw new Error(`chains jump in a circle: ${name}`);
    const left: Left[] = [];
    let here: PacketState[] = [packet];
    for (const rule of this.#table.chains.get(name)?.rules ?? []) {
      const next: PacketState[] = [];
      for (const { verdict, packet: sent } of here.flatMap((one) => this.#meet(name, rule, one, depth))) {
        if (verdict === 'next') next.push(sent);
        else if (typeof verdict === 'object') left.push(...this.#walk(verdict.goto, sent, depth + 1));
        else left.push({ verdict, packet: sent });
      }
      here = next;
      if (here.length === 0) break;
    }
    return [...left, ...here.map((one): Left => ({ verdict: 'return', packet: one }))];
  }

  #meet(chain: string, rule: NftRule, packet: PacketState, depth: number): Sent[] {
    const met = rowOf(rule, this.#table.name, chain);
    let here: PacketState[] = [{ ...packet, rulesWalked: packet.rulesWalked + 1 }];
    const sent: Sent[] = [];
    for (const statement of rule.statements) {
      const more: PacketState[] = [];
      for (const way of here.flatMap((one) => this.#statement(statement, one, { met, depth }))) {
        if (way.verdict === 'more') more.push(way.packet);
        else sent.push(way);
      }
      here = more;
      if (here.length === 0) break;
    }
    return [...sent, ...here.map((one): Sent => ({ verdict: 'next', packet: enter(one, met) }))];
  }

  #statement(statement: JsonObject, packet: PacketState, { met, depth }: RuleWalk): readonly Way[] {
    const [kind, body] = kindOf(statement);
    try {
      // A packet that does not match has not met the rule.
      if (kind === 'match') return [this.#actions.match(body, packet)];
      const entered = enter(packet, met);
      // Nor has one for which a map has no element.
      const missed = (one: PacketState): Way => ({ verdict: 'next', packet: { ...one, trail: packet.trail } });
      if (kind === 'vmap')
        return this.#actions
          .vmap(body, entered)
          .flatMap((mapped) => (mapped.verdict === undefined ? [missed(mapped.packet)] : this.#mapped(mapped, depth)));
      const ways = this.#actions.act(statement, entered);
      if (ways === undefined) return this.#verdict(kind, body, entered, depth);
      return ways.map((way) => (way.verdict === 'next' ? missed(way.packet) : way));
    } catch (error) {
      if (!(error instanceof UnknownNft)) throw error;
      return [{ verdict: 'unknown', packet: enter(packet, met) }];
    }
  }

  #mapped({ packet, verdict }: Mapped, depth: number): readonly Way[] {
    if (!isObject(verdict)) throw new UnknownNft(verdict ?? null);
    const [kind, body] = kindOf(verdict);
    return this.#verdict(kind, body, packet, depth);
  }

  #verdict(kind: string, body: Json, packet: PacketState, depth: number): Way[] {
    switch (kind) {
      case 'accept':
      case 'drop':
      case 'return':
        return [{ verdict: kind, packet }];
      case 'continue':
        return [{ verdict: 'next', packet }];
      case 'reject':
        return [{ verdict: 'reject', packet }];
      case 'goto':
        return [{ verdict: { goto: targetOf(body) }, packet }];
      case 'jump':
        return this.#walk(targetOf(body), packet, depth + 1).map((left) =>
          left.verdict === 'return' ? { verdict: 'next', packet: left.packet } : left,
        );
      default:
        throw new UnknownNft({ [kind]: body });
    }
  }
}

/** A walk through one rule. */
interface RuleWalk {
  readonly met: MatchedRule;
  /** The number of jumps that led to its chain. */
  readonly depth: number;
}

/** The rules as trails name them. */
const rows = new WeakMap<NftRule, MatchedRule>();

function rowOf(rule: NftRule, table: string, chain: string): MatchedRule {
  const row = rows.get(rule) ?? { table, chain, text: printNftRule(rule) };
  rows.set(rule, row);
  return row;
}

function enter(packet: PacketState, met: MatchedRule): PacketState {
  return packet.trail?.rule === met ? packet : { ...packet, trail: { rule: met, before: packet.trail } };
}

function targetOf(body: Json): string {
  return textOf(fieldsOf(body)['target']);
}
