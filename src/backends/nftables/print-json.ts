/** A table as `nft -j list ruleset` prints it, for those who read that: explanations, comparisons and differences. */
import { type Family, parseCidr } from '../../model/address';
import {
  type ChainObject,
  type Field,
  type Rule,
  type Selector,
  type SetElement,
  type SetObject,
  type Statement,
  tableName,
} from './objects';

type Json = number | string | null | readonly Json[] | { readonly [name: string]: Json };

/** What a table holds. */
export interface WholeTable {
  readonly chains: readonly ChainObject[];
  readonly sets: readonly { readonly set: SetObject; readonly elements: Iterable<SetElement> }[];
}

/** Without handles, and without what depends on nft's version. */
export function printTableJson({ chains, sets }: WholeTable, family: Family): string {
  const place = { family: familyWord(family), table: tableName };
  const nftables: Json[] = [
    { table: { family: place.family, name: tableName } },
    ...sets.map(({ set, elements }) => setJson(set, elements, place, family)),
    ...chains.map(({ name, base }) => ({ chain: { ...place, name, ...(base && hookJson(base)) } })),
    ...chains.flatMap(({ name, rules }) =>
      rules.map((rule) => ({ rule: { ...place, chain: name, ...ruleJson(rule, family) } })),
    ),
  ];
  return JSON.stringify({ nftables });
}

function familyWord(family: Family): 'ip' | 'ip6' {
  return family === 'IPv4' ? 'ip' : 'ip6';
}

function hookJson({ type, hook, priority }: NonNullable<ChainObject['base']>): Record<string, Json> {
  return { type, hook, prio: priority, policy: 'accept' };
}

function ruleJson({ statements, comment }: Rule, family: Family): Record<string, Json> {
  const expr = statements.flatMap((statement) => statementJson(statement, family));
  return { ...(comment !== undefined && { comment }), expr };
}

function setJson(
  { name, key, data, comment, dynamicSize }: SetObject,
  elements: Iterable<SetElement>,
  place: Readonly<Record<string, Json>>,
  family: Family,
): Json {
  const values = data === undefined || data === 'verdict' ? undefined : data;
  const elem = Array.from(elements, (element): Json => {
    const at = detailed(valueJson(element.key, key), element);
    if (data === undefined) return at;
    const { value = '' } = element;
    return [at, values === undefined ? verdictJson(value) : valueJson(value, values)];
  });
  const object = {
    ...place,
    name,
    ...(comment !== undefined && { comment }),
    type: typesJson(key, family),
    ...(data !== undefined && { map: values === undefined ? 'verdict' : typeNames(values, family).join(' . ') }),
    // nft 1.0 does not name the flag dynamic here.
    ...(dynamicSize !== undefined && { size: dynamicSize, flags: ['timeout'] }),
    ...(elem.length > 0 && { elem }),
  };
  return data === undefined ? { set: object } : { map: object };
}

function detailed(val: Json, { comment, timeout }: SetElement): Json {
  if (comment === undefined && timeout === undefined) return val;
  const time = timeout && { timeout: timeout.seconds, expires: Math.floor(timeout.remainingMs / 1000) };
  return { elem: { val, ...time, ...(comment !== undefined && { comment }) } };
}

function typesJson(fields: readonly Field[], family: Family): Json {
  const names = typeNames(fields, family);
  return names.length === 1 ? (names[0] ?? '') : names;
}

function typeNames(fields: readonly Field[], family: Family): string[] {
  const address = family === 'IPv4' ? 'ipv4_addr' : 'ipv6_addr';
  const names = { address, protocol: 'inet_proto', port: 'inet_service', index: 'integer', priority: 'classid' };
  return fields.map((field) => names[field]);
}

/** `10.96.0.10 . tcp . 80` */
function valueJson(text: string, fields: readonly Field[]): Json {
  const parts = text
    .split(' . ')
    .map((part, i) => (fields[i] === 'port' || fields[i] === 'index' ? Number(part) : part));
  return parts.length === 1 ? (parts[0] ?? '') : { concat: parts };
}

/** `drop`, `goto vipwire-pick-2` */
function verdictJson(text: string): Json {
  const [word = '', target] = text.split(' ');
  return { [word]: target === undefined ? null : { target } };
}

function statementJson(statement: Statement, family: Family): Json {
  switch (statement.kind) {
    case 'address':
    case 'interface':
    case 'is-local':
    case 'ct-state-new':
    case 'ct-state-old':
    case 'ct-status-dnat':
    case 'has-mark':
    case 'in-set':
    case 'protocol':
      return { match: matchJson(statement, family) };
    case 'set-mark':
      return mangleJson('|', statement.mark);
    case 'flip-mark':
      return mangleJson('^', statement.mark);
    case 'vmap':
      return { vmap: { key: keyJson(statement.key, family), data: `@${statement.map}` } };
    case 'dnat': {
      const map = { key: keyJson(statement.key, family), data: `@${statement.map}` };
      return { dnat: { family: familyWord(family), addr: { map } } };
    }
    case 'set-priority':
      return {
        mangle: {
          key: priorityJson,
          value: { map: { key: keyJson(statement.key, family), data: `@${statement.map}` } },
        },
      };
    case 'remember':
    case 'forget':
      return elementChangeJson(statement, family);
    case 'jump':
    case 'goto':
      return { [statement.kind]: { target: statement.chain } };
    case 'reject':
      return { reject: { type: family === 'IPv4' ? 'icmp' : 'icmpv6', expr: 'port-unreachable' } };
    case 'masquerade':
      return { masquerade: { flags: 'fully-random' } };
    case 'accept':
    case 'drop':
    case 'return':
      return { [statement.kind]: null };
  }
}

type Match = Extract<
  Statement,
  {
    kind:
      | 'address'
      | 'interface'
      | 'is-local'
      | 'ct-state-new'
      | 'ct-state-old'
      | 'ct-status-dnat'
      | 'has-mark'
      | 'in-set'
      | 'protocol';
  }
>;

function matchJson(match: Match, family: Family): Json {
  switch (match.kind) {
    case 'address':
      return compareJson(match.isNot, selectorJson({ kind: match.side }, family), cidrJson(match.cidr));
    case 'interface':
      return compareJson(match.isNot, { meta: { key: 'iifname' } }, match.name);
    case 'is-local': {
      const flags = [match.side === 'source' ? 'saddr' : 'daddr'];
      return compareJson(false, { fib: { result: 'type', flags } }, 'local');
    }
    case 'ct-state-new':
      return { op: 'in', left: { ct: { key: 'state' } }, right: 'new' };
    case 'ct-state-old':
      return { op: 'in', left: { ct: { key: 'state' } }, right: ['established', 'related'] };
    case 'ct-status-dnat':
      return { op: 'in', left: { ct: { key: 'status' } }, right: 'dnat' };
    case 'has-mark':
      return match.mark === highestBit
        ? compareJson(true, markJson, { prefix: { addr: 0, len: 1 } })
        : compareJson(true, { '&': [markJson, match.mark] }, 0);
    case 'in-set':
      return compareJson(match.isNot === true, keyJson(match.key, family), `@${match.set}`);
    case 'protocol':
      return compareJson(false, selectorJson({ kind: 'protocol' }, family), match.protocol);
  }
}

function compareJson(isNot: boolean, left: Json, right: Json): Json {
  return { op: isNot ? '!=' : '==', left, right };
}

/** A test of this bit alone looks to nft like one of a prefix. */
const highestBit = 0x80000000;
const markJson: Json = { meta: { key: 'mark' } };
const priorityJson: Json = { meta: { key: 'priority' } };

/** nft 1.0 prints such a statement as text, later ones as an object. */
function elementChangeJson(statement: Extract<Statement, { kind: 'remember' | 'forget' }>, family: Family): Json {
  const val = selectorJson({ kind: 'source' }, family);
  const elem: Json = statement.kind === 'remember' ? { elem: { val, timeout: statement.seconds } } : val;
  const op = statement.kind === 'remember' ? 'update' : 'delete';
  return { map: { op, elem, data: priorityJson, map: `@${statement.map}` } };
}

function mangleJson(operator: '|' | '^', mark: number): Json {
  return { mangle: { key: markJson, value: { [operator]: [markJson, mark] } } };
}

/** nft prints a host without its prefix length. */
function cidrJson(text: string): Json {
  const cidr = text.includes('/') ? parseCidr(text) : undefined;
  if (cidr === undefined) return text;
  const { family, address, prefix } = cidr;
  return prefix === (family === 'IPv4' ? 32 : 128) ? address : { prefix: { addr: address, len: prefix } };
}

function keyJson(key: readonly Selector[], family: Family): Json {
  const parts = key.map((selector) => selectorJson(selector, family));
  return parts.length === 1 ? (parts[0] ?? null) : { concat: parts };
}

function selectorJson(selector: Selector, family: Family): Json {
  switch (selector.kind) {
    case 'source':
    case 'destination':
      return { payload: { protocol: familyWord(family), field: selector.kind === 'source' ? 'saddr' : 'daddr' } };
    case 'protocol':
      return { meta: { key: 'l4proto' } };
    case 'port':
      return { payload: { protocol: 'th', field: 'dport' } };
    case 'priority':
      return priorityJson;
    case 'numgen':
      return { numgen: { mode: selector.mode, mod: selector.modulus, offset: 0 } };
    case 'hash': {
      const { modulus, seed } = selector;
      return { jhash: { mod: modulus, seed, expr: selectorJson({ kind: 'source' }, family) } };
    }
  }
}
