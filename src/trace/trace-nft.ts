/**
 * Finds out what happens to a new connection on a node with this nftables table. In each hook the chains come in order of priority.
 *
 *   from outside    prerouting -> route -> input | forward -> postrouting
 *   from the node   output -> postrouting (-> input, if it stays on the node)
 */
import { familyOf } from '../model/address';
import {
  isObject,
  type Json,
  type JsonObject,
  type NftChain,
  type NftRule,
  type NftTable,
  textOf,
} from './nft-ruleset';
import { NftValues, UnknownNft } from './nft-values';
import {
  accepted,
  type Connection,
  type Ended,
  type Left,
  type MatchContext,
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

/** What a statement does with a packet: `more` goes on to the rule's next statement, and any other verdict ends the rule. */
type Way = Sent | { readonly verdict: 'more'; readonly packet: PacketState };

class Trace {
  readonly #values: NftValues;
  readonly #chainsOf = new Map<string, readonly NftChain[]>();
  readonly #table: NftTable;
  readonly #context: MatchContext;

  constructor(table: NftTable, context: MatchContext) {
    this.#table = table;
    this.#context = context;
    this.#values = new NftValues(table, context);
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
        if (verdict === 'accept' || verdict === 'return') next.push(left);
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

  #meet(chain: string, { statements }: NftRule, packet: PacketState, depth: number): Sent[] {
    const start: PacketState = { ...packet, rulesWalked: packet.rulesWalked + 1 };
    const matched = (one: PacketState): PacketState => ({
      ...one,
      trail: { rule: { table: this.#table.name, chain, text: JSON.stringify(statements) }, before: one.trail },
    });
    let here: PacketState[] = [start];
    const sent: Sent[] = [];
    for (const statement of statements) {
      const isMatch = 'match' in statement;
      const more: PacketState[] = [];
      for (const way of here.flatMap((one) => this.#statement(statement, one, depth))) {
        if (way.verdict === 'more') more.push(way.packet);
        // If a match fails, the packet has not matched this rule.
        else sent.push(isMatch ? way : { ...way, packet: matched(way.packet) });
      }
      here = more;
      if (here.length === 0) break;
    }
    return [...sent, ...here.map((one): Sent => ({ verdict: 'next', packet: matched(one) }))];
  }

  #statement(statement: JsonObject, packet: PacketState, depth: number): Way[] {
    const [name = '', body = null] = Object.entries(statement)[0] ?? [];
    try {
      switch (name) {
        case 'match':
          return [this.#match(body, packet)];
        case 'vmap':
          return this.#values.lookupAll(body, packet).flatMap(({ found, probability }) => {
            const one = { ...packet, probability: packet.probability * probability };
            return isObject(found) ? this.#statement(found, one, depth) : [{ verdict: 'next', packet: one } as const];
          });
        case 'mangle':
          return [{ verdict: 'more', packet: this.#mangle(body, packet) }];
        case 'set':
          return [{ verdict: 'more', packet: this.#remember(body, packet) }];
        case 'counter':
        case 'log':
          return [{ verdict: 'more', packet }];
        case 'dnat':
          return this.#dnat(body, packet);
        case 'masquerade':
          return [{ verdict: 'accept', packet: this.#masquerade(packet) }];
        default:
          return this.#verdict(name, body, packet, depth);
      }
    } catch (error) {
      if (!(error instanceof UnknownNft)) throw error;
      return [{ verdict: 'unknown', packet }];
    }
  }

  #verdict(name: string, body: Json, packet: PacketState, depth: number): Way[] {
    switch (name) {
      case 'accept':
      case 'drop':
      case 'return':
        return [{ verdict: name, packet }];
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
        throw new UnknownNft({ [name]: body });
    }
  }

  #mangle(body: Json, packet: PacketState): PacketState {
    const { key, value = null } = isObject(body) ? body : {};
    if (!isObject(key) || !isObject(key['meta']) || key['meta']['key'] !== 'mark') throw new UnknownNft(body);
    return { ...packet, mark: Number(this.#values.evaluate(value, packet)[0]?.value) };
  }

  #remember(body: Json, packet: PacketState): PacketState {
    const { op, set } = isObject(body) ? body : {};
    if ((op !== 'update' && op !== 'add') || typeof set !== 'string') throw new UnknownNft(body);
    return { ...packet, recent: new Set([...packet.recent, set.slice(1)]) };
  }

  #match(body: Json, packet: PacketState): Way {
    if (!this.#values.matches(body, packet)) return { verdict: 'next', packet };
    const rememberedSeconds = this.#values.rememberedSeconds(body) ?? packet.rememberedSeconds;
    return { verdict: 'more', packet: { ...packet, rememberedSeconds } };
  }

  #dnat(body: Json, packet: PacketState): Way[] {
    const { addr = null, port } = isObject(body) ? body : {};
    const ways = this.#values.evaluate(addr, packet).map(({ value, probability }): Way => {
      const [address = '', mapped] = value.split(' . ');
      const to = { destination: address, port: Number(mapped ?? port ?? packet.port), isDnated: true };
      return { verdict: 'accept', packet: { ...packet, ...to, probability: packet.probability * probability } };
    });
    const served = ways.reduce((sum, way) => sum + way.packet.probability, 0);
    const left = packet.probability - served;
    // The map may have no element for some of the numbers.
    return left < 1e-9 ? ways : [...ways, { verdict: 'next', packet: { ...packet, probability: left } }];
  }

  #masquerade(packet: PacketState): PacketState {
    return { ...packet, source: this.#context.node.sourceTo(packet.destination), isMasqueraded: true };
  }
}

function targetOf(body: Json): string {
  return isObject(body) ? textOf(body['target']) : '';
}
