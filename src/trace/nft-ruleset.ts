/** Reads one table from what `nft -j list ruleset` prints. */
import { type Cidr, cidrContains, hostCidr, parseCidr } from '../model/address';
import { UserError } from '../model/user-error';
import { messageOf } from '../model/error-message';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
export type JsonObject = Readonly<Record<string, Json>>;

export interface NftRule {
  /** Each statement is an object with one field, whose name is the kind of statement. */
  readonly statements: readonly JsonObject[];
  readonly comment: string;
}

export interface NftChain {
  readonly name: string;
  /** Absent in a chain that others jump to. */
  readonly hook?: { readonly name: string; readonly priority: number };
  readonly rules: NftRule[];
}

/** A set or a map. */
export class NftSet {
  readonly #exact = new Map<string, Json>();
  readonly #ranges: { readonly contains: (address: string) => boolean; readonly value: Json }[] = [];
  /** The elements of a set of addresses, as CIDRs. */
  readonly networks: string[] = [];

  constructor(
    elements: readonly Json[],
    isMap: boolean,
    /** For a set that packets add elements to: how long these stay. Undefined if the ruleset says what the elements are. */
    readonly timeoutSeconds: number | undefined,
  ) {
    for (const element of elements) {
      const [key, value] = isMap && isArray(element) ? element : [element, true];
      this.#add(unwrap(key ?? null), value ?? null);
    }
  }

  get(key: string): Json | undefined {
    const found = this.#exact.get(key);
    if (found !== undefined || this.#ranges.length === 0) return found;
    return this.#ranges.find(({ contains }) => contains(key))?.value;
  }

  entries(): Iterable<[key: string, value: Json]> {
    return this.#exact;
  }

  #add(key: Json, value: Json): void {
    const cidr = cidrOf(key);
    if (cidr !== undefined) this.networks.push(`${cidr.address}/${cidr.prefix}`);
    const { range } = isObject(key) ? key : { range: undefined };
    if (isObject(key) && 'prefix' in key && cidr !== undefined)
      this.#ranges.push({ contains: (address) => cidrContains(cidr, address), value });
    else if (isArray(range)) {
      const [low, high] = range.map(Number);
      this.#ranges.push({ contains: (text) => Number(text) >= (low ?? 0) && Number(text) <= (high ?? 0), value });
    } else this.#exact.set(printValue(key), value);
  }
}

export interface NftTable {
  readonly name: string;
  readonly chains: ReadonlyMap<string, NftChain>;
  readonly sets: ReadonlyMap<string, NftSet>;
}

export function isObject(json: Json | undefined): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

/** Unlike Array.isArray it narrows to a readonly array of Json. */
export function isArray(json: Json | undefined): json is readonly Json[] {
  return Array.isArray(json);
}

/** Reads an address or a prefix. Returns undefined for anything else. */
export function cidrOf(json: Json): Cidr | undefined {
  if (typeof json === 'string' && /[.:]/.test(json)) return parseCidr(hostCidr(json));
  if (!isObject(json) || !isObject(json['prefix'])) return undefined;
  const { addr, len } = json['prefix'];
  return parseCidr(`${textOf(addr)}/${textOf(len)}`);
}

/** Returns '' if it is neither a text nor a number. */
export function textOf(json: Json | undefined): string {
  return typeof json === 'string' || typeof json === 'number' ? String(json) : '';
}

/** Returns the value of an element, which may be wrapped together with a comment or a timeout. */
function unwrap(json: Json): Json {
  return isObject(json) && isObject(json['elem']) ? (json['elem']['val'] ?? null) : json;
}

/** `10.96.0.10 . tcp . 80` */
export function printValue(json: Json): string {
  if (isObject(json) && isArray(json['concat'])) return json['concat'].map(textOf).join(' . ');
  return typeof json === 'string' || typeof json === 'number' ? String(json) : JSON.stringify(json);
}

/** Returns undefined if there is no such table. Throws UserError if nft did not print the text. */
export function parseNftTable(text: string, family: 'ip' | 'ip6', name: string): NftTable | undefined {
  const chains = new Map<string, NftChain>();
  const sets = new Map<string, NftSet>();
  let isThere = false;
  for (const entry of readEntries(text)) {
    const [kind = '', object] = Object.entries(entry)[0] ?? [];
    if (!isObject(object) || object['family'] !== family) continue;
    if (kind === 'table') isThere ||= object['name'] === name;
    else if (object['table'] === name) addObject(kind, object, chains, sets);
  }
  return isThere ? { name, chains, sets } : undefined;
}

function readEntries(text: string): readonly JsonObject[] {
  let json: Json;
  try {
    // JSON.parse returns `any`. Whatever it parses is Json.
    json = JSON.parse(text) as Json;
  } catch (error) {
    throw new UserError(`not the JSON of nft -j list ruleset: ${messageOf(error)}`);
  }
  if (!isObject(json) || !isArray(json['nftables']))
    throw new UserError('not the JSON of nft -j list ruleset: it has no "nftables"');
  return json['nftables'].filter(isObject);
}

function addObject(kind: string, object: JsonObject, chains: Map<string, NftChain>, sets: Map<string, NftSet>): void {
  const name = textOf(object['name']);
  if (kind === 'chain') {
    const { hook, prio } = object;
    const base = hook === undefined ? {} : { hook: { name: textOf(hook), priority: Number(prio) } };
    chains.set(name, { name, ...base, rules: [] });
  } else if (kind === 'set' || kind === 'map') {
    const { elem, flags, timeout } = object;
    const isDynamic = [flags].flat().some((flag) => flag === 'timeout' || flag === 'dynamic');
    const elements = isArray(elem) && !isDynamic ? elem : [];
    sets.set(name, new NftSet(elements, kind === 'map', isDynamic ? Number(timeout ?? 0) : undefined));
  } else if (kind === 'rule') {
    const { chain, expr, comment } = object;
    const statements = isArray(expr) ? expr.filter(isObject) : [];
    chains.get(textOf(chain))?.rules.push({ statements, comment: typeof comment === 'string' ? comment : '' });
  }
}
