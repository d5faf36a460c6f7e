/** Statements that nft has no JSON for: older versions print their text instead. */
import { isObject, type Json, type JsonObject } from './nft-json';

/** A change of a map by a rule, as newer versions of nft print it. */
const mapChange = /^(add|update|delete) (@\S+) \{ (.+?)(?: timeout (\S+))? : (.+) \}$/;
const seconds: Readonly<Record<string, number>> = { d: 86_400, h: 3600, m: 60, s: 1, ms: 0.001 };

/** A statement that is not understood becomes `{ "text": ... }`. */
export function parseStatement(json: Json): JsonObject {
  if (isObject(json)) return json;
  const text = typeof json === 'string' ? json : JSON.stringify(json);
  const [, op, map, key, timeout, data] = mapChange.exec(text) ?? [];
  if (op === undefined || map === undefined || key === undefined || data === undefined) return { text };
  const val = parseKey(key);
  const elem = timeout === undefined ? val : { elem: { val, timeout: parseDuration(timeout) } };
  return { map: { op, elem, data: parseKey(data), map } };
}

/** `ip saddr . 8c1f:23d0` */
function parseKey(text: string): Json {
  const parts = text.split(' . ').map(parsePart);
  return parts.length === 1 ? (parts[0] ?? '') : { concat: parts };
}

function parsePart(text: string): Json {
  const [word = '', field] = text.split(' ');
  if (field === undefined) return text;
  return word === 'meta' ? { meta: { key: field } } : { payload: { protocol: word, field } };
}

/** `1m40s`, in seconds. */
function parseDuration(text: string): number {
  let sum = 0;
  for (const [, count, unit = ''] of text.matchAll(/(\d+)(ms|[dhms])/g)) sum += Number(count) * (seconds[unit] ?? 0);
  return sum;
}
