/** What nft's statements do to a packet, except for verdicts. */
import { fieldsOf, type Json, type JsonObject, kindOf, textOf } from './nft-json';
import { forget, note, recall } from './nft-memory';
import { printNftElement } from './nft-text';
import type { NftTable } from './nft-ruleset';
import { printValue } from './nft-set';
import { type Found, NftValues, UnknownNft } from './nft-values';
import type { MatchContext, PacketState, Sent } from './packet';

/** What a statement does with a packet: `more` goes on to the rule's next statement, and any other verdict ends the rule. */
export type Way = Sent | { readonly verdict: 'more'; readonly packet: PacketState };

/** What a lookup in a verdict map leads to: the packet after the lookup, and the verdict. */
export interface Mapped {
  readonly packet: PacketState;
  readonly verdict: Json | undefined;
}

export class NftActions {
  readonly #values: NftValues;
  readonly #table: NftTable;
  readonly #context: MatchContext;

  constructor(table: NftTable, context: MatchContext) {
    this.#table = table;
    this.#context = context;
    this.#values = new NftValues(table, context);
  }

  match(body: Json, packet: PacketState): Way {
    if (!this.#values.matches(body, packet)) return { verdict: 'next', packet };
    const rememberedSeconds = this.#values.notedBy(body, packet)?.seconds ?? packet.rememberedSeconds;
    return { verdict: 'more', packet: { ...packet, rememberedSeconds } };
  }

  /** Packets for which the map has no element have no verdict: they go on to the next rule. */
  vmap(body: Json, packet: PacketState): readonly Mapped[] {
    return this.#lookup(body, packet).map((found) => ({
      packet: this.#follow(packet, found, body),
      verdict: found.element?.value,
    }));
  }

  /** Returns undefined for a statement of another kind. */
  act(statement: JsonObject, packet: PacketState): readonly Way[] | undefined {
    const [kind, body] = kindOf(statement);
    switch (kind) {
      case 'mangle':
        return this.#mangle(body, packet);
      case 'set':
      case 'map':
        return [{ verdict: 'more', packet: this.#change(body, packet) }];
      case 'counter':
      case 'log':
        return [{ verdict: 'more', packet }];
      case 'dnat':
        return this.#dnat(body, packet);
      case 'masquerade': {
        const source = this.#context.node.sourceTo(packet.destination);
        return [{ verdict: 'accept', packet: { ...packet, source, isMasqueraded: true } }];
      }
      default:
        return undefined;
    }
  }

  #mangle(body: Json, packet: PacketState): readonly Way[] {
    const { key, value = null } = fieldsOf(body);
    const field = fieldsOf(fieldsOf(key)['meta'])['key'];
    if (field !== 'mark' && field !== 'priority') throw new UnknownNft(body);
    const set = (one: PacketState, text: string): Way => ({
      verdict: 'more',
      packet: field === 'mark' ? { ...one, mark: Number(text) } : { ...one, priority: text },
    });
    const map = fieldsOf(value)['map'];
    return map === undefined ? [set(packet, this.#values.one(value, packet))] : this.#byMap(map, packet, set);
  }

  /** Adds an element to a set or map, renews its timeout, or deletes it. */
  #change(body: Json, packet: PacketState): PacketState {
    const { op, elem = null, set, map, data = '' } = fieldsOf(body);
    const name = map ?? set;
    const { val = elem, timeout } = fieldsOf(fieldsOf(elem)['elem']);
    if (typeof name !== 'string') throw new UnknownNft(body);
    const { timeoutSeconds } = this.#values.setOf(name);
    if (timeoutSeconds === undefined) throw new UnknownNft(body);
    const key = this.#values.one(val, packet);
    if (op === 'delete') return { ...packet, recent: forget(packet.recent, name, key), rememberedSeconds: 0 };
    if (op !== 'update' && op !== 'add') throw new UnknownNft(body);
    // The data of an element that is there stays as it is.
    const value = recall(packet.recent, name, key)?.value ?? this.#values.one(data, packet);
    const seconds = Number(timeout ?? timeoutSeconds);
    return { ...packet, recent: note(packet.recent, name, key, { value, seconds }) };
  }

  #dnat(body: Json, packet: PacketState): readonly Way[] {
    const { addr = null, port } = fieldsOf(body);
    const send = (one: PacketState, value: string): Way => {
      const [destination = '', mapped] = value.split(' . ');
      const to = { destination, port: Number(mapped ?? port ?? one.port), isDnated: true };
      return { verdict: 'accept', packet: { ...one, ...to } };
    };
    const map = fieldsOf(addr)['map'];
    return map === undefined ? [send(packet, this.#values.one(addr, packet))] : this.#byMap(map, packet, send);
  }

  #byMap(map: Json, packet: PacketState, then: (packet: PacketState, value: string) => Way): readonly Way[] {
    return this.#lookup(map, packet).map((found): Way => {
      const one = this.#follow(packet, found, map);
      return found.element === undefined
        ? { verdict: 'next', packet: one }
        : then(one, printValue(found.element.value));
    });
  }

  /** A client whose hash chose before is sent to the same again. */
  #lookup(map: Json, packet: PacketState): readonly Found[] {
    const ways = this.#values.lookup(map, packet);
    if (!ways.some(({ isByClient }) => isByClient === true)) return ways;
    const noted = recall(packet.recent, hashes, hashedOf(packet));
    if (noted === undefined) return ways;
    const same = ways.find(({ element }) => element !== undefined && printValue(element.value) === noted.value);
    return same === undefined ? ways : [{ ...same, noted, probability: 1 }];
  }

  /** The packet after a lookup, which is a part of its trail if the map has a name. */
  #follow(packet: PacketState, { element, elements, probability, noted, isByClient }: Found, map: Json): PacketState {
    const one = { ...packet, probability: packet.probability * probability };
    if (element === undefined) return one;
    const { data } = fieldsOf(map);
    const more = elements === 1 ? '' : ` (and ${elements - 1} more)`;
    const rule = {
      table: this.#table.name,
      chain: `map ${textOf(data).slice(1)}`,
      text: printNftElement(element) + more,
    };
    const isNew = isByClient === true && noted === undefined;
    const hashed = { value: printValue(element.value), seconds: Infinity };
    return {
      ...one,
      ...(typeof data === 'string' && { trail: { rule, before: one.trail } }),
      ...(noted !== undefined && { rememberedSeconds: noted.seconds }),
      ...(isNew && { recent: note(one.recent, hashes, hashedOf(one), hashed) }),
    };
  }
}

/** Stands for a set in what is noted about a client: what hashes of its address lead to. */
const hashes = 'hash';

function hashedOf({ protocol, source, destination, port }: PacketState): string {
  return [source, protocol, destination, port].join(' ');
}
