/** Decodes chains and rules of nf_tables from netlink messages (linux/netfilter/nf_tables.h). Pure. */
import { attributeEnd, findAttribute } from './netlink-attributes';

export const nfgenmsgBytes = 4;

/** NFTA_*: attributes of messages, expressions and verdicts. */
const tableAttribute = { name: 1, handle: 4 } as const;
const chainAttribute = { table: 1, handle: 2, name: 3, hook: 4, use: 6 } as const;
const ruleAttribute = { table: 1, chain: 2, handle: 3, expressions: 4, userdata: 7 } as const;
const element = 1;
const expressionAttribute = { name: 1, data: 2 } as const;
const immediateAttribute = { register: 1, data: 2 } as const;
const verdictData = 2;
const verdictAttribute = { code: 1, chain: 2 } as const;
/** NFTA_MATCH_* and NFTA_TARGET_*, which have the same numbers: they wrap iptables' own extensions. */
const extensionAttribute = { name: 1, revision: 2, data: 3 } as const;
/** The type of libnftnl's userdata for a comment, which ends with a zero byte. */
const commentUserdata = 0;

const verdictNames: Readonly<Record<number, VerdictName>> = {
  0: 'drop',
  1: 'accept',
  [-1]: 'continue',
  [-2]: 'break',
  [-3]: 'jump',
  [-4]: 'goto',
  [-5]: 'return',
};

type VerdictName = 'drop' | 'accept' | 'continue' | 'break' | 'jump' | 'goto' | 'return';

export type NfExpression =
  /** `chain` is the target of a jump or a goto, and '' for other verdicts. */
  | { readonly kind: 'verdict'; readonly verdict: VerdictName; readonly chain: string }
  /** An extension of iptables. `data` is its own struct, undecoded. */
  | { readonly kind: 'match' | 'target'; readonly name: string; readonly revision: number; readonly data: Buffer }
  /** An expression of nf_tables itself: `meta`, `ct`, `lookup`, `counter` ... */
  | { readonly kind: 'other'; readonly name: string };

/** It reads from a receive buffer, so copy what you keep before the next message comes. */
export class NfRule {
  readonly table: string;
  readonly chain: string;
  /** The kernel never reuses a handle in the life of a table. A rule that is replaced gets a new one. */
  readonly handle: number;
  readonly #payload: Buffer;

  constructor(payload: Buffer) {
    this.#payload = payload;
    this.table = textAt(payload, ruleAttribute.table);
    this.chain = textAt(payload, ruleAttribute.chain);
    this.handle = numberAt(payload, ruleAttribute.handle);
  }

  /** In the order in which a packet meets them. */
  expressions(): readonly NfExpression[] {
    const start = findAttribute(this.#payload, nfgenmsgBytes, this.#payload.length, ruleAttribute.expressions);
    return start < 0 ? [] : [...elementsOf(this.#payload, start)];
  }

  /** The chain that the rule jumps or goes to without a map; '' where it does not. */
  get target(): string {
    for (const expression of this.expressions())
      if (expression.kind === 'verdict' && expression.chain !== '') return expression.chain;
    return '';
  }

  /** nft's own comment; '' without one. A comment of iptables is a match instead. */
  get comment(): string {
    const payload = this.#payload;
    const start = findAttribute(payload, nfgenmsgBytes, payload.length, ruleAttribute.userdata);
    if (start < 0) return '';
    const end = attributeEnd(payload, start);
    for (let at = start; at + 2 <= end; at += 2 + (payload[at + 1] ?? 0))
      if (payload[at] === commentUserdata) return text(payload, at + 2, at + 2 + (payload[at + 1] ?? 0));
    return '';
  }
}

export interface NfChain {
  readonly table: string;
  readonly name: string;
  readonly handle: number;
  /** The chain is attached to a hook of the kernel. */
  readonly isBase: boolean;
  /** The number of its rules plus the jumps to it, including those of verdict maps. */
  readonly uses: number;
}

export interface NfTableName {
  readonly name: string;
  /** The kernel never reuses it in the life of the network namespace. */
  readonly handle: number;
}

export function decodeTable(payload: Buffer): NfTableName {
  return { name: textAt(payload, tableAttribute.name), handle: numberAt(payload, tableAttribute.handle) };
}

export function decodeChain(payload: Buffer): NfChain {
  const uses = findAttribute(payload, nfgenmsgBytes, payload.length, chainAttribute.use);
  return {
    table: textAt(payload, chainAttribute.table),
    name: textAt(payload, chainAttribute.name),
    handle: numberAt(payload, chainAttribute.handle),
    isBase: findAttribute(payload, nfgenmsgBytes, payload.length, chainAttribute.hook) >= 0,
    uses: uses < 0 ? 0 : payload.readUInt32BE(uses),
  };
}

function* elementsOf(payload: Buffer, start: number): Generator<NfExpression> {
  const end = attributeEnd(payload, start);
  for (let at = start; at < end; ) {
    const found = findAttribute(payload, at, end, element);
    if (found < 0) return;
    yield decodeExpression(payload, found, attributeEnd(payload, found));
    at = (attributeEnd(payload, found) + 3) & ~3;
  }
}

function decodeExpression(payload: Buffer, start: number, end: number): NfExpression {
  const name = textWithin(payload, start, end, expressionAttribute.name);
  const data = findAttribute(payload, start, end, expressionAttribute.data);
  if (data < 0) return { kind: 'other', name };
  const dataEnd = attributeEnd(payload, data);
  if (name === 'immediate') return decodeImmediate(payload, data, dataEnd);
  if (name !== 'match' && name !== 'target') return { kind: 'other', name };
  const revision = findAttribute(payload, data, dataEnd, extensionAttribute.revision);
  const struct = findAttribute(payload, data, dataEnd, extensionAttribute.data);
  return {
    kind: name,
    name: textWithin(payload, data, dataEnd, extensionAttribute.name),
    revision: revision < 0 ? 0 : payload.readUInt32BE(revision),
    data: struct < 0 ? Buffer.alloc(0) : payload.subarray(struct, attributeEnd(payload, struct)),
  };
}

/** Decodes a verdict. Any other immediate is a value that goes into a register. */
function decodeImmediate(payload: Buffer, start: number, end: number): NfExpression {
  const other: NfExpression = { kind: 'other', name: 'immediate' };
  const value = findAttribute(payload, start, end, immediateAttribute.data);
  if (value < 0) return other;
  const verdict = findAttribute(payload, value, attributeEnd(payload, value), verdictData);
  if (verdict < 0) return other;
  const verdictEnd = attributeEnd(payload, verdict);
  const code = findAttribute(payload, verdict, verdictEnd, verdictAttribute.code);
  const name = code < 0 ? undefined : verdictNames[payload.readInt32BE(code)];
  if (name === undefined) return other;
  return { kind: 'verdict', verdict: name, chain: textWithin(payload, verdict, verdictEnd, verdictAttribute.chain) };
}

function textAt(payload: Buffer, type: number): string {
  return textWithin(payload, nfgenmsgBytes, payload.length, type);
}

function textWithin(payload: Buffer, from: number, to: number, type: number): string {
  const start = findAttribute(payload, from, to, type);
  return start < 0 ? '' : text(payload, start, attributeEnd(payload, start));
}

/** Reads text up to its final zero byte. */
function text(payload: Buffer, start: number, end: number): string {
  const zero = payload.indexOf(0, start);
  return payload.toString('utf8', start, zero < 0 || zero > end ? end : zero);
}

/** Reads 64 bits. A handle is far below 2^53. */
function numberAt(payload: Buffer, type: number): number {
  const start = findAttribute(payload, nfgenmsgBytes, payload.length, type);
  return start < 0 ? 0 : Number(payload.readBigUInt64BE(start));
}
