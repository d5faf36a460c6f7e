/** Resolves scalars as go-yaml v2 does, the library behind sigs.k8s.io/yaml: mostly YAML 1.1, with Go's numbers. */

export type ScalarValue = string | number | boolean | null;

/** Why a scalar has no value. */
export interface ScalarMistake {
  readonly mistake: string;
}

const words: ReadonlyMap<string, ScalarValue> = new Map<string, ScalarValue>([
  ...['y', 'Y', 'yes', 'Yes', 'YES', 'true', 'True', 'TRUE', 'on', 'On', 'ON'].map((word) => [word, true] as const),
  ...['n', 'N', 'no', 'No', 'NO', 'false', 'False', 'FALSE', 'off', 'Off', 'OFF'].map((word) => [word, false] as const),
  ...['', '~', 'null', 'Null', 'NULL'].map((word) => [word, null] as const),
  ...['.nan', '.NaN', '.NAN'].map((word) => [word, Number.NaN] as const),
  ...['.inf', '.Inf', '.INF', '+.inf', '+.Inf', '+.INF'].map((word) => [word, Number.POSITIVE_INFINITY] as const),
  ...['-.inf', '-.Inf', '-.INF'].map((word) => [word, Number.NEGATIVE_INFINITY] as const),
]);

const wholeNumber = /^([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9]\d*))$/;
const decimalNumber = /^[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?$/;
const [leastWhole, mostWhole] = [-(2n ** 63n), 2n ** 64n - 1n];

/** Like Go's ParseInt with any base: 0777 is octal. */
function parseWhole(text: string): number | undefined {
  const [match, sign, hex, binary, octal, decimal] = wholeNumber.exec(text) ?? [];
  if (match === undefined) return undefined;
  const digits = hex !== undefined ? `0x${hex}` : binary !== undefined ? `0b${binary}` : undefined;
  const size = BigInt(digits ?? (octal !== undefined ? `0o${octal}` : (decimal ?? '')));
  const value = sign === '-' ? -size : size;
  return value < leastWhole || value > mostWhole ? undefined : Number(value);
}

/** Resolves a plain scalar, one without quotes. Dates and 12:30 are text. Infinities and NaN are numbers here, though not in JSON. */
export function resolvePlain(text: string): ScalarValue {
  const word = words.get(text);
  if (word !== undefined) return word;
  // Underscores are ignored only if the first character is a digit or a sign.
  const digits = /^[-+\d]/.test(text) ? text.replaceAll('_', '') : text.startsWith('.') ? text : undefined;
  if (digits === undefined) return text;
  const whole = parseWhole(digits);
  if (whole !== undefined) return whole;
  const decimal = decimalNumber.test(digits) ? Number(digits) : Number.NaN;
  return Number.isFinite(decimal) ? decimal : text;
}

const prefix = 'tag:yaml.org,2002:';
const typeOfTag: Readonly<Record<string, 'number' | 'boolean' | 'null'>> = {
  int: 'number',
  float: 'number',
  bool: 'boolean',
  null: 'null',
};

/** Resolves a scalar with a tag, quoted or not. The text must fit the tag. Private tags are ignored. */
export function resolveTagged(tag: string, text: string): ScalarValue | ScalarMistake {
  const name = tag.startsWith(prefix) ? tag.slice(prefix.length) : '';
  if (name === 'binary') return Buffer.from(text, 'base64').toString('utf8');
  const wanted = typeOfTag[name];
  if (wanted === undefined) return text;
  const value = resolvePlain(text);
  const isFit = wanted === 'null' ? value === null : typeof value === wanted;
  return isFit && !(name === 'int' && !Number.isInteger(value))
    ? value
    : { mistake: `cannot read ${text} as !!${name}` };
}

/** Returns a scalar as the key of a JSON object, or undefined if it cannot be a key. */
export function keyText(value: ScalarValue): string | undefined {
  if (value === null) return undefined;
  if (typeof value !== 'number' || Number.isInteger(value)) return String(value);
  if (Number.isNaN(value)) return '.nan';
  if (!Number.isFinite(value)) return value > 0 ? '.inf' : '-.inf';
  return String(value);
}
