/** The expressions of a rule as the kernel lists them. Pure. */
const nameAndData = { name: 1, data: 2 } as const;
const headerBytes = 4;
const typeMask = 0x3fff;

/** Numbers of attributes that differ from what was written, without meaning anything: the kernel adds or leaves them out. */
interface Omitted {
  /** Left out where they are 0. */
  readonly zeros?: readonly number[];
  /** Left out where they repeat another. */
  readonly repeats?: Readonly<Record<number, number>>;
  /** Left out where they have no other bits. */
  readonly impliedBits?: Readonly<Record<number, number>>;
  /** How many levels of attributes are nested in an attribute. Whether they are flagged as nested differs. */
  readonly levels?: Readonly<Record<number, number>>;
  /** The highest that Linux 6.18 has. Later ones were added by a newer kernel, for what did not exist when the rule was written. */
  readonly last: number;
}

const omitted: Readonly<Record<string, Omitted>> = {
  payload: { last: 8 },
  meta: { last: 3 },
  fib: { last: 3 },
  ct: { last: 4 },
  numgen: { last: 4, zeros: [4] },
  hash: { last: 7, zeros: [6, 7] },
  bitwise: { last: 8, zeros: [6] },
  cmp: { last: 3 },
  lookup: { last: 5, zeros: [5] },
  // NF_NAT_RANGE_MAP_IPS and _PROTO_SPECIFIED
  nat: { last: 7, repeats: { 4: 3, 6: 5 }, impliedBits: { 7: 3 } },
  masq: { last: 3 },
  reject: { last: 2 },
  immediate: { last: 2, levels: { 2: 2 } },
  dynset: { last: 10, zeros: [6, 9] },
};

/** One expression. It reads from the message, so the message must stay. */
export class Expression {
  readonly #attributes: ReadonlyMap<number, Buffer>;

  constructor(
    readonly name: string,
    attributes: Iterable<readonly [type: number, value: Buffer]>,
  ) {
    this.#attributes = new Map(attributes);
  }

  /** Returns -1 where it has no such number. */
  number(type: number): number {
    const value = this.#attributes.get(type);
    return value?.length === 4 ? value.readUInt32BE() : -1;
  }

  text(type: number): string {
    return textOf(this.#attributes.get(type));
  }

  /** What is nested in the attribute under these types. */
  nested(...types: readonly [number, ...number[]]): Buffer {
    const [first, ...others] = types;
    const none = Buffer.alloc(0);
    let value = this.#attributes.get(first) ?? none;
    for (const type of others) value = new Map(attributesOf(value, 0, value.length)).get(type) ?? none;
    return value;
  }

  /** Two expressions that do the same have the same text. */
  toString(): string {
    const {
      zeros = [],
      repeats = {},
      impliedBits = {},
      levels = {},
      last,
    }: Omitted = omitted[this.name] ?? { last: typeMask };
    const parts: string[] = [];
    for (const [type, value] of [...this.#attributes].toSorted(([a], [b]) => a - b)) {
      if (type > last || (zeros.includes(type) && value.every((byte) => byte === 0))) continue;
      const implied = impliedBits[type];
      if (implied !== undefined && (this.number(type) & ~implied) === 0) continue;
      const original = this.#attributes.get(repeats[type] ?? -1);
      if (original?.equals(value) !== true) parts.push(`${type}=${print(value, levels[type] ?? 0)}`);
    }
    return `${this.name}(${parts.join(' ')})`;
  }
}

function print(value: Buffer, levels: number): string {
  if (levels === 0) return value.toString('hex');
  const parts: string[] = [];
  for (const [type, part] of attributesOf(value, 0, value.length)) parts.push(`${type}=${print(part, levels - 1)}`);
  return `{${parts.join(' ')}}`;
}

/** Ends where they end or are cut. */
export function* attributesOf(
  message: Buffer,
  start: number,
  end: number,
): Generator<readonly [type: number, value: Buffer]> {
  for (let at = start; at + headerBytes <= end; ) {
    const length = message.readUInt16LE(at);
    if (length < headerBytes || at + length > end) return;
    yield [message.readUInt16LE(at + 2) & typeMask, message.subarray(at + headerBytes, at + length)];
    at += (length + 3) & ~3;
  }
}

export function textOf(value: Buffer | undefined): string {
  if (value === undefined) return '';
  const end = value.indexOf(0);
  return value.toString('latin1', 0, end < 0 ? value.length : end);
}

/** Decodes a list of expressions. */
export function decodeExpressions(list: Buffer): readonly Expression[] {
  const all: Expression[] = [];
  for (const [, element] of attributesOf(list, 0, list.length)) {
    const parts = new Map(attributesOf(element, 0, element.length));
    const data = parts.get(nameAndData.data) ?? Buffer.alloc(0);
    all.push(new Expression(textOf(parts.get(nameAndData.name)), attributesOf(data, 0, data.length)));
  }
  return all;
}
