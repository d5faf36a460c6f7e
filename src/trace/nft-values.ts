/** Evaluates nft's expressions for a packet. */
import { cidrContains } from '../model/address';
import { fieldsOf, isArray, isObject, type Json, type JsonObject, kindOf, listOf } from './nft-json';
import { type Noted, recall } from './nft-memory';
import type { NftTable } from './nft-ruleset';
import { cidrOf, type NftElement, NftSet, printValue } from './nft-set';
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
  /** The client's address decides, so it is the same each time. */
  readonly isByClient?: boolean;
}

/** What a lookup in a map leads to. */
export interface Found {
  /** Undefined if the map has no element for the key. */
  readonly element: NftElement | undefined;
  readonly probability: number;
  /** How many of the elements that were looked up have this value. */
  readonly elements: number;
  /** What the set had noted about the client. */
  readonly noted?: Noted;
  /** The client's address decides, so it is the same each time. */
  readonly isByClient?: boolean;
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
    const [name, body] = kindOf(json);
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
      case 'jhash':
        return numbers(body, true);
      case 'concat':
        return this.#concat(listOf(body), packet);
      case '&':
      case '|':
      case '^':
        return certain(this.#bits(name, listOf(body), packet));
      case 'map':
        return this.lookup(body, packet).flatMap(({ element, probability }) =>
          element === undefined ? [] : [{ value: printValue(element.value), probability }],
        );
      default:
        throw new UnknownNft(json);
    }
  }

  /** Returns the value of an expression that has one, whatever chance does. */
  one(json: Json, packet: PacketState): string {
    const [first, ...others] = this.evaluate(json, packet);
    if (first === undefined || others.length > 0) throw new UnknownNft(json);
    return first.value;
  }

  /** Looks up a key in a map. Elements with the same value are one way. */
  lookup(body: Json, packet: PacketState): readonly Found[] {
    const { key = null, data = null } = fieldsOf(body);
    const set = this.setOf(data);
    const ways = new Map<string, Found>();
    for (const { value, probability, isByClient } of this.evaluate(key, packet)) {
      const noted = set.timeoutSeconds === undefined ? undefined : recall(packet.recent, printValue(data), value);
      const element = noted === undefined ? set.get(value) : { key: value, value: noted.value, comment: '' };
      const name = element === undefined ? '' : printValue(element.value);
      const before = ways.get(name) ?? { element, probability: 0, elements: 0 };
      ways.set(name, {
        ...before,
        probability: before.probability + probability,
        elements: before.elements + 1,
        ...(noted !== undefined && { noted }),
        ...(isByClient === true && { isByClient }),
      });
    }
    return [...ways.values()];
  }

  /** Whether a match holds. */
  matches(body: Json, packet: PacketState): boolean {
    const { op, left = null, right = null } = fieldsOf(body);
    const isEqual = this.#isIn(this.one(left, packet), left, right, packet);
    if (op === '!=') return !isEqual;
    if (op === '==' || op === 'in') return isEqual;
    throw new UnknownNft(body);
  }

  /** What the set of a match had noted about the client. Undefined if it is not a set that packets add to, or has not. */
  notedBy(body: Json, packet: PacketState): Noted | undefined {
    const { left = null, right } = fieldsOf(body);
    const isDynamic = typeof right === 'string' && this.#table.sets.get(right.slice(1))?.timeoutSeconds !== undefined;
    return isDynamic ? recall(packet.recent, right, this.one(left, packet)) : undefined;
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
    const isSource = isObject(left) && fieldsOf(left['payload'])['field'] === 'saddr';
    const cidr = cidrOf(right);
    if (cidr !== undefined) {
      if (isSource) this.#context.onSource?.(`${cidr.address}/${cidr.prefix}`);
      return cidrContains(cidr, value);
    }
    if (typeof right === 'string' && right.startsWith('@')) {
      const set = this.setOf(right);
      if (set.timeoutSeconds !== undefined) return recall(packet.recent, right, value) !== undefined;
      return this.#isInSet(set, value, isSource);
    }
    if (isArray(right)) return right.some((one) => printValue(one) === value);
    if (isObject(right)) {
      if ('set' in right) return this.#isInSet(this.setOf(right), value, isSource);
      return isInPrefix(right, value);
    }
    const text = printValue(right);
    return text.endsWith('*') ? value.startsWith(text.slice(0, -1)) : text === value;
  }

  #isInSet(set: NftSet, value: string, isSource: boolean): boolean {
    if (isSource) for (const network of set.networks) this.#context.onSource?.(network);
    return set.get(value) !== undefined;
  }

  #fib(body: Json, packet: PacketState): string {
    const { result, flags } = fieldsOf(body);
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
            isByClient: head.isByClient === true || tail.isByClient === true,
          })),
        ),
      );
  }

  #bits(operator: '&' | '|' | '^', sides: readonly Json[], packet: PacketState): number {
    const [left = 0, right = 0] = sides.map((side) => Number(this.one(side, packet)));
    const result = operator === '&' ? left & right : operator === '|' ? left | right : left ^ right;
    return result >>> 0;
  }
}

/** A number of 32 bits: nft prints a test of its highest bits as one of a prefix. */
function isInPrefix(right: JsonObject, value: string): boolean {
  const { addr, len } = fieldsOf(right['prefix']);
  if (typeof addr !== 'number' || typeof len !== 'number' || len === 0) throw new UnknownNft(right);
  return Number(value) >>> (32 - len) === addr >>> (32 - len);
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
    case 'priority':
      return packet.priority;
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

/** Each of the numbers is as probable: by chance, in turn, or over all clients. */
function numbers(body: Json, isByClient = false): readonly Chance[] {
  const { mode, mod, offset } = fieldsOf(body);
  const count = Number(mod);
  const isKnown = isByClient || mode === 'random' || mode === 'inc';
  if (!isKnown || !(count > 0)) throw new UnknownNft(body);
  const first = Number(offset ?? 0);
  return Array.from({ length: count }, (_, i) => ({ value: String(first + i), probability: 1 / count, isByClient }));
}
