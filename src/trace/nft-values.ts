/** Evaluates nft's expressions for a packet. */
import { cidrContains } from '../model/address';
import {
  cidrOf,
  isArray,
  isObject,
  type Json,
  type JsonObject,
  NftSet,
  type NftTable,
  printValue,
} from './nft-ruleset';
import type { MatchContext, PacketState } from './packet';

/** An expression, statement or match that the tracer does not know. */
export class UnknownNft extends Error {
  constructor(json: Json) {
    super(`the tracer does not know ${JSON.stringify(json)}`);
  }
}

/** A value that an expression has with this probability. */
export interface Chance {
  readonly value: string;
  readonly probability: number;
}

const certain = (value: string | number): readonly Chance[] => [{ value: String(value), probability: 1 }];

/** The sets that are written in a rule itself, by their JSON. */
const setsInRules = new WeakMap<JsonObject, NftSet>();

export class NftValues {
  readonly #table: NftTable;
  readonly #context: MatchContext;

  constructor(table: NftTable, context: MatchContext) {
    this.#table = table;
    this.#context = context;
  }

  evaluate(json: Json, packet: PacketState): readonly Chance[] {
    if (!isObject(json)) return certain(printValue(json));
    const [name = '', body = null] = Object.entries(json)[0] ?? [];
    switch (name) {
      case 'payload':
        return certain(payloadOf(body, packet));
      case 'meta':
        return certain(metaOf(body, packet));
      case 'ct':
        return certain(ctOf(body, packet));
      case 'fib':
        return certain(this.#fib(body, packet));
      case 'numgen':
        return numbers(body);
      case 'concat':
        return this.#concat(listOf(body), packet);
      case '&':
      case '|':
      case '^':
        return certain(this.#bits(name, listOf(body), packet));
      case 'map':
        return this.lookup(body, packet);
      default:
        throw new UnknownNft(json);
    }
  }

  /** Looks up a key in a map. Keys that the map has no element for are left out. */
  lookup(body: Json, packet: PacketState): readonly Chance[] {
    return this.lookupAll(body, packet).flatMap(({ found, probability }) =>
      found === undefined ? [] : [{ value: printValue(found), probability }],
    );
  }

  /** Like `lookup`, but keeps the keys that the map has no element for. */
  lookupAll(body: Json, packet: PacketState): readonly { found: Json | undefined; probability: number }[] {
    const { key = null, data = null } = isObject(body) ? body : {};
    const set = this.setOf(data);
    return this.evaluate(key, packet).map(({ value, probability }) => ({ found: set.get(value), probability }));
  }

  /** Whether a match holds. */
  matches(body: Json, packet: PacketState): boolean {
    const { op, left = null, right = null } = isObject(body) ? body : {};
    const [first, ...others] = this.evaluate(left, packet);
    if (first === undefined || others.length > 0) throw new UnknownNft(body);
    const isEqual = this.#isIn(first.value, left, right, packet);
    if (op === '!=') return !isEqual;
    if (op === '==' || op === 'in') return isEqual;
    throw new UnknownNft(body);
  }

  /** Returns for how long the set of a match remembers. Returns undefined if it is not a set that packets add to. */
  rememberedSeconds(body: Json): number | undefined {
    const { right } = isObject(body) ? body : {};
    return typeof right === 'string' ? this.#table.sets.get(right.slice(1))?.timeoutSeconds : undefined;
  }

  /** Returns the set of that name, or the one that is written in the rule itself. */
  setOf(json: Json): NftSet {
    if (typeof json === 'string' && json.startsWith('@')) {
      const set = this.#table.sets.get(json.slice(1));
      if (set !== undefined) return set;
    } else if (isObject(json) && isArray(json['set'])) {
      const elements = json['set'];
      const known = setsInRules.get(json) ?? new NftSet(elements, elements.some(isArray), undefined);
      setsInRules.set(json, known);
      return known;
    }
    throw new UnknownNft(json);
  }

  #isIn(value: string, left: Json, right: Json, packet: PacketState): boolean {
    const isSource = isObject(left) && isObject(left['payload']) && left['payload']['field'] === 'saddr';
    const cidr = cidrOf(right);
    if (cidr !== undefined) {
      if (isSource) this.#context.onSource?.(`${cidr.address}/${cidr.prefix}`);
      return cidrContains(cidr, value);
    }
    const isSet = typeof right === 'string' && right.startsWith('@');
    if (isSet || (isObject(right) && 'set' in right)) {
      const set = this.setOf(right);
      if (isSet && set.timeoutSeconds !== undefined) return packet.recent.has(right.slice(1));
      if (isSource) for (const network of set.networks) this.#context.onSource?.(network);
      return set.get(value) !== undefined;
    }
    if (isObject(right) && isArray(right['concat'])) throw new UnknownNft(right);
    if (isArray(right)) return right.some((one) => printValue(one) === value);
    const text = printValue(right);
    return text.endsWith('*') ? value.startsWith(text.slice(0, -1)) : text === value;
  }

  #fib(body: Json, packet: PacketState): string {
    const { result, flags } = isObject(body) ? body : {};
    const [flag, ...others] = listOf(flags ?? null);
    if (result !== 'type' || others.length > 0 || (flag !== 'saddr' && flag !== 'daddr')) throw new UnknownNft(body);
    return this.#context.node.isLocal(flag === 'saddr' ? packet.source : packet.destination) ? 'local' : 'unicast';
  }

  #concat(parts: readonly Json[], packet: PacketState): readonly Chance[] {
    return parts
      .map((part) => this.evaluate(part, packet))
      .reduce((heads, tails) =>
        heads.flatMap((head) =>
          tails.map((tail) => ({
            value: `${head.value} . ${tail.value}`,
            probability: head.probability * tail.probability,
          })),
        ),
      );
  }

  #bits(operator: '&' | '|' | '^', sides: readonly Json[], packet: PacketState): number {
    const [left = 0, right = 0] = sides.map((side) => Number(this.evaluate(side, packet)[0]?.value));
    const result = operator === '&' ? left & right : operator === '|' ? left | right : left ^ right;
    return result >>> 0;
  }
}

function listOf(json: Json): readonly Json[] {
  return isArray(json) ? json : [json];
}

function fieldsOf(json: Json): JsonObject {
  return isObject(json) ? json : {};
}

function payloadOf(body: Json, packet: PacketState): string | number {
  const { protocol, field } = fieldsOf(body);
  if (field === 'saddr') return packet.source;
  if (field === 'daddr') return packet.destination;
  if (field === 'dport' && (protocol === 'th' || protocol === packet.protocol)) return packet.port;
  throw new UnknownNft(body);
}

function metaOf(body: Json, packet: PacketState): string | number {
  switch (fieldsOf(body)['key']) {
    case 'l4proto':
      return packet.protocol;
    case 'mark':
      return packet.mark;
    case 'iifname':
      return packet.inDevice;
    case 'oifname':
      return packet.outDevice;
    default:
      throw new UnknownNft(body);
  }
}

/** The packet is always the first one of its connection. */
function ctOf(body: Json, packet: PacketState): string {
  switch (fieldsOf(body)['key']) {
    case 'state':
      return 'new';
    case 'status':
      return packet.isDnated ? 'dnat' : '';
    default:
      throw new UnknownNft(body);
  }
}

function numbers(body: Json): readonly Chance[] {
  const { mode, mod, offset } = fieldsOf(body);
  const count = Number(mod);
  if (mode !== 'random' || !(count > 0)) throw new UnknownNft(body);
  const first = Number(offset ?? 0);
  return Array.from({ length: count }, (_, i) => ({ value: String(first + i), probability: 1 / count }));
}
