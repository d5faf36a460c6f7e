/** Reads one table from what `nft -j list ruleset` prints. */
import { messageOf } from '../model/error-message';
import { UserError } from '../model/user-error';
import { fieldsOf, isArray, isObject, type Json, type JsonObject, kindOf, textOf } from './nft-json';
import { NftSet } from './nft-set';
import { parseStatement } from './nft-statement';

export interface NftRule {
  /** Each statement is an object with one field, whose name is the kind of statement. */
  readonly statements: readonly JsonObject[];
  readonly comment: string;
}

export interface NftChain {
  readonly name: string;
  /** Absent in a chain that others jump to. */
  readonly hook?: NftHook;
  readonly rules: NftRule[];
}

export interface NftHook {
  readonly type: string;
  readonly name: string;
  readonly priority: number;
  /** What becomes of packets that the chain's rules let pass. */
  readonly policy: 'accept' | 'drop';
}

export interface NftTable {
  readonly name: string;
  readonly chains: ReadonlyMap<string, NftChain>;
  readonly sets: ReadonlyMap<string, NftSet>;
  /** How each set is declared, as nft prints it, without its elements. */
  readonly declarations: ReadonlyMap<string, JsonObject>;
}

/** Returns undefined if there is no such table. Throws UserError if nft did not print the text. */
export function parseNftTable(text: string, family: 'ip' | 'ip6', name: string): NftTable | undefined {
  const to: Parts = { chains: new Map(), sets: new Map(), declarations: new Map() };
  let isThere = false;
  for (const entry of readEntries(text)) {
    const [kind, object] = kindOf(entry);
    const { family: itsFamily, name: itsName, table } = fieldsOf(object);
    if (!isObject(object) || itsFamily !== family) continue;
    if (kind === 'table') isThere ||= itsName === name;
    else if (table === name) addObject(kind, object, to);
  }
  return isThere ? { name, ...to } : undefined;
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

interface Parts {
  readonly chains: Map<string, NftChain>;
  readonly sets: Map<string, NftSet>;
  readonly declarations: Map<string, JsonObject>;
}

function addObject(kind: string, object: JsonObject, { chains, sets, declarations }: Parts): void {
  const name = textOf(object['name']);
  if (kind === 'chain') {
    const { hook, prio, type, policy } = object;
    const base: NftHook = {
      type: textOf(type),
      name: textOf(hook),
      priority: Number(prio),
      policy: policy === 'drop' ? 'drop' : 'accept',
    };
    chains.set(name, { name, ...(hook !== undefined && { hook: base }), rules: [] });
  } else if (kind === 'set' || kind === 'map') {
    const { elem, ...declaration } = object;
    const { flags, timeout } = declaration;
    const isDynamic = [flags].flat().some((flag) => flag === 'timeout' || flag === 'dynamic');
    const elements = isArray(elem) && !isDynamic ? elem : [];
    sets.set(name, new NftSet(elements, kind === 'map', isDynamic ? Number(timeout ?? 0) : undefined));
    declarations.set(name, { [kind]: declaration });
  } else if (kind === 'rule') {
    const { chain, expr, comment } = object;
    const statements = isArray(expr) ? expr.map(parseStatement) : [];
    chains.get(textOf(chain))?.rules.push({ statements, comment: textOf(comment) });
  }
}
