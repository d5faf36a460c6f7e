/** Chains and rules of nf_tables as netlink tells them (linux/netfilter/nf_tables.h); pure. */
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
/** NFTA_MATCH_* and NFTA_TARGET_* are the same: what iptables' own extensions are wrapped in. */
const extensionAttribute = { name: 1, revision: 2, data: 3 } as const;
/** The first userdata of libnftnl: a comment, which ends with a zero. */
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
  /** `chain` of a jump or a goto; '' of the others. */
  | { readonly kind: 'verdict'; readonly verdict: VerdictName; readonly chain: string }
  /** An extension of iptables: its own struct, as it is. */
  | { readonly kind: 'match' | 'target'; readonly name: string; readonly revision: number; readonly data: Buffer }
  /** nf_tables' own: `meta`, `ct`, `lookup`, `counter` ... */
  | { readonly kind: 'other'; readonly name: string };

/** It reads from a receive buffer: what is to be kept of it is copied before the next message comes. */
export class NfRule {
  readonly table: string;
  readonly chain: string;
  /** Given by the kernel, never again in the life of its table. A rule that is replaced gets another. */
  readonly handle: number;

  constructor(private readonly payload: Buffer) {
    this.table = textAt(payload, ruleAttribute.table);
    this.chain = textAt(payload, ruleAttribute.chain);
    this.handle = numberAt(payload, ruleAttribute.handle);
  }

  /** In the order in which a packet meets them. */
  expressions(): readonly NfExpression[] {
    const start = findAttribute(this.payload, nfgenmsgBytes, this.payload.length, ruleAttribute.expressions);
    return start < 0 ? [] : [...elementsOf(this.payload, start)];
  }

  /** The chain that it jumps or goes to without a map; '' where there is none. */
  get target(): string {
    for (const expression of this.expressions())
      if (expression.kind === 'verdict' && expression.chain !== '') return expression.chain;
    return '';
  }

  /** nft's own comment; '' without one. That of iptables is a match. */
  get comment(): string {
    const start = findAttribute(this.payload, nfgenmsgBytes, this.payload.length, ruleAttribute.userdata);
    if (start < 0) return '';
    const end = attributeEnd(this.payload, start);
    for (let at = start; at + 2 <= end; at += 2 + (this.payload[at + 1] ?? 0))
      if (this.payload[at] === commentUserdata) return text(this.payload, at + 2, at + 2 + (this.payload[at + 1] ?? 0));
    return '';
  }
}

export interface NfChain {
  readonly table: string;
  readonly name: string;
  readonly handle: number;
  /** It hangs from a hook of the kernel. */
  readonly isBase: boolean;
  /** Its rules, and the jumps to it, those of verdict maps among them. */
  readonly uses: number;
}

export interface NfTableName {
  readonly name: string;
  /** Never given again in the life of the network namespace. */
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

/** A verdict, or a value that goes into a register. */
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

/** Up to the zero that ends it. */
function text(payload: Buffer, start: number, end: number): string {
  const zero = payload.indexOf(0, start);
  return payload.toString('utf8', start, zero < 0 || zero > end ? end : zero);
}

/** 64 bits; a handle is far below 2^53. */
function numberAt(payload: Buffer, type: number): number {
  const start = findAttribute(payload, nfgenmsgBytes, payload.length, type);
  return start < 0 ? 0 : Number(payload.readBigUInt64BE(start));
}
