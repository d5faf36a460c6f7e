/** The kinds of values that a field or a flag takes, and how each is read from a flag's text and from a document. */
import { formatDuration, formatGoDuration, parseDuration } from './duration';

export interface ValueKind<T> {
  /** Describes the value in messages: `want <this>`. */
  readonly expects: string;
  /** Stands for the value in help texts. */
  readonly placeholder: string;
  /** Reads a flag's text. Returns undefined when the text is not such a value. */
  parse(text: string): T | undefined;
  /** Reads a plain value of a YAML or JSON document. Returns undefined when it has another type. */
  decode(value: unknown): T | undefined;
  /** Joins the values of a repeated flag. Without it the last value counts. */
  join?(earlier: T, later: T): T;
  print(value: T): string;
  /** Returns a plain value that decode reads back. Without it the value itself is one. */
  encode?(value: T): unknown;
}

const truths = new Set(['1', 't', 'T', 'TRUE', 'true', 'True']);
const lies = new Set(['0', 'f', 'F', 'FALSE', 'false', 'False']);

/** Go's ParseBool. */
function parseBool(text: string): boolean | undefined {
  if (truths.has(text)) return true;
  return lies.has(text) ? false : undefined;
}

/** Accepts decimal, 0x, 0o and 0b, within 32 bits. */
function parseWhole(text: string): number | undefined {
  const digits = /^([-+]?)(0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|\d+)$/.exec(text);
  if (digits === null) return undefined;
  return decodeWhole(Number(digits[2]) * (digits[1] === '-' ? -1 : 1));
}

function isWhole(value: unknown): value is number {
  return Number.isInteger(value);
}

function decodeWhole(value: unknown): number | undefined {
  return isWhole(value) && Math.abs(value) <= 0x7fffffff ? value : undefined;
}

/** Returns the items of `a,b,c` without blank ones. */
function splitList(text: string): readonly string[] {
  return text.split(',').flatMap((item) => (item.trim() === '' ? [] : [item.trim()]));
}

export const bool: ValueKind<boolean> = {
  expects: 'true or false',
  placeholder: '',
  parse: parseBool,
  decode: (value) => (typeof value === 'boolean' ? value : undefined),
  print: String,
};

export const integer: ValueKind<number> = {
  expects: 'a whole number',
  placeholder: 'N',
  parse: parseWhole,
  decode: decodeWhole,
  print: String,
};

export const decimal: ValueKind<number> = {
  expects: 'a number',
  placeholder: 'N',
  parse: (text) => (/^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$/.test(text) ? Number(text) : undefined),
  decode: (value) => (typeof value === 'number' && Number.isFinite(value) ? value : undefined),
  print: String,
};

export const text: ValueKind<string> = {
  expects: 'text',
  placeholder: 'TEXT',
  parse: (value) => value,
  decode: (value) => (typeof value === 'string' ? value : undefined),
  print: (value) => value,
};

/** Milliseconds. */
export const duration: ValueKind<number> = {
  expects: 'a duration such as 30s, 1h30m or 100ms',
  placeholder: 'TIME',
  parse: parseDuration,
  decode: (value) => (typeof value === 'string' ? parseDuration(value) : undefined),
  print: formatDuration,
  encode: formatGoDuration,
};

/** Milliseconds. A document may also give a whole number of nanoseconds. */
export const logPeriod: ValueKind<number> = {
  ...duration,
  decode: (value) => (isWhole(value) ? value / 1e6 : duration.decode(value)),
};

export const list: ValueKind<readonly string[]> = {
  expects: 'a list of texts',
  placeholder: 'A,B',
  parse: splitList,
  decode: (value) => (Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : undefined),
  join: (earlier, later) => [...earlier, ...later],
  print: (value) => value.join(','),
};

/** Keeps blanks, so that the checks can refuse them as kube-proxy does. */
export const cidrList: ValueKind<readonly string[]> = {
  ...list,
  parse: (value) => (value === '' ? [] : value.split(',')),
};

/** Feature gates: `A=true,B=false`. */
export const switches: ValueKind<Readonly<Record<string, boolean>>> = {
  expects: 'names with true or false, such as A=true,B=false',
  placeholder: 'A=true,B=false',
  parse: (value) => {
    const pairs = splitList(value).map((item): [string, boolean | undefined] => {
      const equals = item.indexOf('=');
      return [item.slice(0, Math.max(equals, 0)), parseBool(item.slice(equals + 1))];
    });
    return pairs.every((pair): pair is [string, boolean] => pair[0] !== '' && pair[1] !== undefined)
      ? Object.fromEntries(pairs)
      : undefined;
  },
  decode: (value) => (isSwitches(value) ? value : undefined),
  join: (earlier, later) => ({ ...earlier, ...later }),
  print: (value) =>
    Object.entries(value)
      .map(([name, on]) => `${name}=${String(on)}`)
      .join(','),
};

function isSwitches(value: unknown): value is Record<string, boolean> {
  return isRecord(value) && Object.values(value).every((item) => typeof item === 'boolean');
}

export interface FileVerbosity {
  readonly filePattern: string;
  readonly verbosity: number;
}

/** `a=1,b*=2`. */
export const vmodule: ValueKind<readonly FileVerbosity[]> = {
  expects: 'patterns of file names with a verbosity, such as server=4,proxier*=5',
  placeholder: 'PATTERN=N,...',
  parse: (value) => {
    const items = splitList(value).map((item) => {
      const [, filePattern = '', digits = ''] = /^([^=]+)=(\d+)$/.exec(item) ?? [];
      return { filePattern, verbosity: Number(digits) };
    });
    return items.every(({ filePattern }) => filePattern !== '') ? items : undefined;
  },
  decode: (value) => (Array.isArray(value) && value.every(isFileVerbosity) ? value : undefined),
  join: (earlier, later) => [...earlier, ...later],
  print: (value) => value.map(({ filePattern, verbosity }) => `${filePattern}=${verbosity}`).join(','),
};

function isFileVerbosity(value: unknown): value is FileVerbosity {
  return isRecord(value) && typeof value['filePattern'] === 'string' && isWhole(value['verbosity']);
}

const quantityFactors: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
};

function parseQuantity(text: string): number | undefined {
  const [, digits, unit = ''] = /^\+?(\d+\.?\d*|\.\d+)(k|M|G|Ki|Mi|Gi)?$/.exec(text) ?? [];
  return digits === undefined ? undefined : Number(digits) * (quantityFactors[unit] ?? 1);
}

/** Bytes. */
export const quantity: ValueKind<number> = {
  expects: 'a number of bytes such as 0, 512k or 64Ki',
  placeholder: 'SIZE',
  parse: parseQuantity,
  decode: (value) =>
    typeof value === 'string' || typeof value === 'number' ? parseQuantity(String(value)) : undefined,
  print: String,
  encode: String,
};

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
