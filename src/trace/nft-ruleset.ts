/** What `nft -j list ruleset` prints, cut down to one table, by name. */
import { type Cidr, cidrContains, hostCidr, parseCidr } from '../model/address';
import { UserError } from '../model/user-error';
import { messageOf } from '../model/error-message';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
export type JsonObject = Readonly<Record<string, Json>>;

export interface NftRule {
  /** A statement an entry, each an object with one name. */
  readonly statements: readonly JsonObject[];
  readonly comment: string;
}

export interface NftChain {
  readonly name: string;
  /** undefined: a chain that others jump to. */
  readonly hook?: { readonly name: string; readonly priority: number };
  readonly rules: NftRule[];
}

/** A set or a map. */
export class NftSet {
  readonly #exact = new Map<string, Json>();
  readonly #ranges: { readonly contains: (address: string) => boolean; readonly value: Json }[] = [];
  /** CIDRs, of a set of addresses. */
  readonly networks: string[] = [];

  constructor(
    elements: readonly Json[],
    isMap: boolean,
    /** Elements come with packets: seconds for which they stay; undefined: elements are those of the ruleset. */
    readonly timeoutSeconds: number | undefined,
  ) {
    for (const element of elements) {
      const [key, value] = isMap && Array.isArray(element) ? (element as readonly Json[]) : [element, true];
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
    else if (Array.isArray(range)) {
      const [low, high] = (range as readonly Json[]).map(Number);
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

/** An address or a prefix; undefined for what is neither. */
export function cidrOf(json: Json): Cidr | undefined {
  if (typeof json === 'string' && /[.:]/.test(json)) return parseCidr(hostCidr(json));
  if (!isObject(json) || !isObject(json['prefix'])) return undefined;
  const { addr, len } = json['prefix'];
  return parseCidr(`${textOf(addr)}/${textOf(len)}`);
}

/** '' for what is no text and no number. */
export function textOf(json: Json | undefined): string {
  return typeof json === 'string' || typeof json === 'number' ? String(json) : '';
}

/** An element may come with a comment or a timeout around it. */
function unwrap(json: Json): Json {
  return isObject(json) && isObject(json['elem']) ? (json['elem']['val'] ?? null) : json;
}

/** `10.96.0.10 . tcp . 80` */
export function printValue(json: Json): string {
  if (isObject(json) && Array.isArray(json['concat']))
    return (json['concat'] as readonly Json[]).map(textOf).join(' . ');
  return typeof json === 'string' || typeof json === 'number' ? String(json) : JSON.stringify(json);
}

/** undefined: there is no such table. Throws UserError where the text is not nft's. */
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
    json = JSON.parse(text) as Json;
  } catch (error) {
    throw new UserError(`not the JSON of nft -j list ruleset: ${messageOf(error)}`);
  }
  if (!isObject(json) || !Array.isArray(json['nftables']))
    throw new UserError('not the JSON of nft -j list ruleset: it has no "nftables"');
  return (json['nftables'] as readonly Json[]).filter(isObject);
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
    const elements = Array.isArray(elem) && !isDynamic ? (elem as readonly Json[]) : [];
    sets.set(name, new NftSet(elements, kind === 'map', isDynamic ? Number(timeout ?? 0) : undefined));
  } else if (kind === 'rule') {
    const { chain, expr, comment } = object;
    const statements = Array.isArray(expr) ? (expr as readonly Json[]).filter(isObject) : [];
    chains.get(textOf(chain))?.rules.push({ statements, comment: typeof comment === 'string' ? comment : '' });
  }
}
