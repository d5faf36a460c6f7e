/** Rules and elements as people write them for nft, from its JSON. What nft has no short word for here stays JSON. */
import { fieldsOf, isArray, isObject, type Json, type JsonObject, kindOf, listOf, textOf } from './nft-json';
import type { NftRule } from './nft-ruleset';
import { type NftElement, printValue } from './nft-set';

/** `ip daddr . meta l4proto . th dport vmap @vipwire-vips` */
export function printNftRule({ statements, comment }: NftRule): string {
  const words = statements.map(printStatement);
  return [...words, ...(comment === '' ? [] : [`comment "${comment}"`])].join(' ');
}

/** `10.96.0.10 . tcp . 80 comment "default/web:http" : goto vipwire-pick-2` */
export function printNftElement({ key, value, comment }: NftElement): string {
  const about = comment === '' ? '' : ` comment "${comment}"`;
  return `${key}${about}${value === true ? '' : ` : ${printNftValue(value)}`}`;
}

/** `10.244.1.2 . 8080`, `goto vipwire-pick-2` */
export function printNftValue(value: Json): string {
  return isObject(value) && !('concat' in value) ? printStatement(value) : printValue(value);
}

function printStatement(statement: JsonObject): string {
  const [kind, body] = kindOf(statement);
  switch (kind) {
    case 'match':
      return printMatch(fieldsOf(body));
    case 'vmap':
      return printMap('vmap', body);
    case 'mangle': {
      const { key = null, value = null } = fieldsOf(body);
      return `${printExpression(key)} set ${printExpression(value)}`;
    }
    case 'dnat': {
      const { addr = null, port } = fieldsOf(body);
      return `dnat to ${printExpression(addr)}${port === undefined ? '' : `:${textOf(port)}`}`;
    }
    case 'masquerade':
      return ['masquerade', ...listOf(fieldsOf(body)['flags'] ?? []).map(textOf)].join(' ');
    case 'reject':
      return printReject(fieldsOf(body));
    case 'set':
    case 'map':
      return printChange(fieldsOf(body));
    case 'jump':
    case 'goto':
      return `${kind} ${textOf(fieldsOf(body)['target'])}`;
    case 'text':
      return textOf(body);
    case 'counter':
      return kind;
    default:
      return body === null ? kind : JSON.stringify(statement);
  }
}

function printMatch({ op, left = null, right = null }: JsonObject): string {
  const operator = op === '==' || op === 'in' ? '' : `${textOf(op)} `;
  const prefix = isObject(right) ? fieldsOf(right['prefix']) : {};
  if (typeof prefix['addr'] === 'number') {
    const mask = ~(0xffffffff >>> Number(prefix['len'])) >>> 0;
    return `${printExpression(left)} and ${hex(mask)} ${operator}${prefix['addr']}`;
  }
  const isName = isObject(left) && /ifname$/.test(textOf(fieldsOf(left['meta'])['key']));
  const to = isName && typeof right === 'string' && !right.startsWith('@') ? `"${right}"` : printExpression(right);
  return `${printExpression(left)} ${operator}${to}`;
}

function printReject({ type, expr }: JsonObject): string {
  if (type === 'tcp reset') return 'reject with tcp reset';
  return expr === undefined || expr === 'port-unreachable' ? 'reject' : `reject with ${textOf(type)} ${textOf(expr)}`;
}

/** `update @affinity { ip saddr timeout 10800s : meta priority }` */
function printChange({ op, elem = null, set, map, data }: JsonObject): string {
  const { val = elem, timeout } = isObject(elem) ? fieldsOf(elem['elem']) : {};
  const time = timeout === undefined ? '' : ` timeout ${textOf(timeout)}s`;
  const value = data === undefined ? '' : ` : ${printExpression(data)}`;
  return `${textOf(op)} ${textOf(map ?? set)} { ${printExpression(val)}${time}${value} }`;
}

function printMap(word: 'map' | 'vmap', body: Json): string {
  const { key = null, data = null } = fieldsOf(body);
  return `${printExpression(key)} ${word} ${printExpression(data)}`;
}

const bitWords: Readonly<Record<string, string>> = { '&': 'and', '|': 'or', '^': 'xor' };

function printExpression(json: Json): string {
  if (isArray(json)) return json.map(printExpression).join(',');
  if (!isObject(json)) return printValue(json);
  const [kind, body] = kindOf(json);
  const fields = fieldsOf(body);
  switch (kind) {
    case 'payload':
      return `${textOf(fields['protocol'])} ${textOf(fields['field'])}`;
    case 'meta':
      return printMeta(textOf(fields['key']));
    case 'ct':
      return `ct ${textOf(fields['key'])}`;
    case 'fib':
      return `fib ${listOf(fields['flags'] ?? [])
        .map(textOf)
        .join(' . ')} ${textOf(fields['result'])}`;
    case 'numgen':
      return `numgen ${textOf(fields['mode'])} mod ${textOf(fields['mod'])}${printOffset(fields)}`;
    case 'jhash':
      return `jhash ${printExpression(fields['expr'] ?? null)} mod ${textOf(fields['mod'])} seed ${hex(fields['seed'])}${printOffset(fields)}`;
    case 'concat':
      return listOf(body).map(printExpression).join(' . ');
    case '&':
    case '|':
    case '^': {
      const [left = null, right = null] = listOf(body);
      return `${printExpression(left)} ${bitWords[kind] ?? kind} ${typeof right === 'number' ? hex(right) : printExpression(right)}`;
    }
    case 'map':
      return printMap('map', body);
    case 'set':
      return `{ ${listOf(body).map(printMember).join(', ')} }`;
    case 'prefix':
      return `${textOf(fields['addr'])}/${textOf(fields['len'])}`;
    case 'elem':
      return printExpression(fields['val'] ?? null);
    default:
      return JSON.stringify(json);
  }
}

/** An element of a set that is written in the rule itself. */
function printMember(json: Json): string {
  if (!isArray(json)) return printExpression(json);
  const [key = null, value = null] = json;
  return `${printExpression(key)} : ${printNftValue(value)}`;
}

function printMeta(key: string): string {
  return key === 'mark' || key.endsWith('ifname') ? key : `meta ${key}`;
}

function printOffset({ offset }: JsonObject): string {
  return offset === undefined || offset === 0 ? '' : ` offset ${textOf(offset)}`;
}

function hex(value: Json | undefined): string {
  return `0x${Number(value).toString(16)}`;
}
