/**
 * The statements that a rule's expressions were made from. What is found here only seems to be it: whoever asks encodes it again, and
 * compares (`driver-decode.ts`). Pure.
 */
import { type Family, formatAddress } from '../../model/address';
import { protocolNameOf } from '../../model/protocol';
import type { Expression } from './driver-decode-expressions';
import {
  changes,
  connectionKeys,
  metaKeys,
  operators,
  payloadBase,
  verdictCodes,
  verdictPart,
} from './driver-expressions';
import { addressOffset, connectionBits } from './driver-statements';
import type { Selector, Statement } from './objects';

/** NFTA_ numbers of the expressions' attributes. */
const ofPayload = { base: 2, offset: 3 } as const;
const ofMeta = { key: 2, from: 3 } as const;
const ofConnection = { key: 2 } as const;
const ofFib = { flags: 3 } as const;
const ofNumgen = { modulus: 2, type: 3 } as const;
const ofHash = { modulus: 4, seed: 5 } as const;
const ofBitwise = { mask: 4, xor: 5 } as const;
const ofCompare = { operator: 2, value: 3 } as const;
const ofLookup = { set: 1, into: 3, flags: 5 } as const;
const ofDynset = { set: 1, operation: 3, timeout: 6 } as const;
const ofImmediate = { data: 2 } as const;
const dataValue = 1;
const verdictData = 2;
const verdictRegister = 0;
const sourceOfFib = 1;

export class StatementDecoder {
  readonly #expressions: readonly Expression[];
  readonly #family: Family;
  #at = 0;

  constructor(expressions: readonly Expression[], family: Family) {
    this.#expressions = expressions;
    this.#family = family;
  }

  /** Returns undefined where there is anything else among them. */
  decode(): readonly Statement[] | undefined {
    const all: Statement[] = [];
    while (this.#at < this.#expressions.length) {
      const statement = this.#statement();
      if (statement === undefined) return undefined;
      all.push(statement);
    }
    return all;
  }

  #statement(): Statement | undefined {
    const match = this.#match();
    if (match !== undefined) return match;
    const key = this.#key();
    if (key.length > 0) return this.#lookup(key);
    const expression = this.#take();
    switch (expression?.name) {
      case 'masq':
        return { kind: 'masquerade' };
      case 'reject':
        return { kind: 'reject' };
      case 'immediate':
        return verdictOf(expression);
      default:
        return undefined;
    }
  }

  /** What is loaded, perhaps masked, and then compared or written back. */
  #match(): Statement | undefined {
    const [load, second, third] = this.#expressions.slice(this.#at, this.#at + 3);
    const mask = second?.name === 'bitwise' ? second : undefined;
    const end = mask === undefined ? second : third;
    if (load === undefined || (end?.name !== 'cmp' && !isWriteToMark(end))) return undefined;
    const statement = this.#matchOf(load, mask, end);
    if (statement !== undefined) this.#at += mask === undefined ? 2 : 3;
    return statement;
  }

  #matchOf(load: Expression, mask: Expression | undefined, end: Expression): Statement | undefined {
    const isNot = end.number(ofCompare.operator) === operators.unequal;
    switch (load.name) {
      case 'payload':
        return this.#addressMatch(load, mask, end);
      case 'fib':
        return { kind: 'is-local', side: load.number(ofFib.flags) === sourceOfFib ? 'source' : 'destination' };
      case 'ct':
        return mask && connectionMatch(load, mask);
      case 'meta':
        if (load.number(ofMeta.key) === metaKeys.inputName)
          return { kind: 'interface', isNot, name: interfaceName(end.nested(ofCompare.value, dataValue)) };
        if (load.number(ofMeta.key) === metaKeys.protocol) return protocolMatch(end);
        return load.number(ofMeta.key) === metaKeys.mark && mask ? markStatement(mask, end) : undefined;
      default:
        return undefined;
    }
  }

  #addressMatch(load: Expression, mask: Expression | undefined, end: Expression): Statement | undefined {
    const side = this.#sideOf(load);
    const value = end.nested(ofCompare.value, dataValue);
    if (side === undefined || value.length > 16) return undefined;
    const bytes = Buffer.alloc(this.#family === 'IPv4' ? 4 : 16);
    value.copy(bytes);
    const bits = mask === undefined ? 8 * value.length : bitsOf(mask.nested(ofBitwise.mask, dataValue));
    return {
      kind: 'address',
      side,
      isNot: end.number(ofCompare.operator) === operators.unequal,
      cidr: `${formatAddress(this.#family, BigInt(`0x${bytes.toString('hex')}`))}/${bits}`,
    };
  }

  #sideOf(load: Expression): 'source' | 'destination' | undefined {
    if (load.number(ofPayload.base) !== payloadBase.network) return undefined;
    const { source, destination } = addressOffset[this.#family];
    const offset = load.number(ofPayload.offset);
    return offset === source ? 'source' : offset === destination ? 'destination' : undefined;
  }

  #key(): readonly Selector[] {
    const key: Selector[] = [];
    for (;;) {
      const selector = this.#selector();
      if (selector === undefined) return key;
      key.push(selector);
    }
  }

  #selector(): Selector | undefined {
    const [load, next] = this.#expressions.slice(this.#at, this.#at + 2);
    if (load === undefined) return undefined;
    const selector = next?.name === 'hash' ? hashOf(next) : this.#selectorOf(load);
    if (selector !== undefined) this.#at += selector.kind === 'hash' ? 2 : 1;
    return selector;
  }

  #selectorOf(load: Expression): Selector | undefined {
    switch (load.name) {
      case 'payload': {
        const side = this.#sideOf(load);
        return side === undefined ? { kind: 'port' } : { kind: side };
      }
      case 'meta':
        if (load.number(ofMeta.key) === metaKeys.priority) return { kind: 'priority' };
        return load.number(ofMeta.key) === metaKeys.protocol ? { kind: 'protocol' } : undefined;
      case 'numgen':
        return {
          kind: 'numgen',
          mode: load.number(ofNumgen.type) === 1 ? 'random' : 'inc',
          modulus: load.number(ofNumgen.modulus),
        };
      default:
        return undefined;
    }
  }

  #lookup(key: readonly Selector[]): Statement | undefined {
    const lookup = this.#take();
    if (lookup?.name === 'dynset') return elementChange(lookup);
    if (lookup?.name !== 'lookup') return undefined;
    const name = lookup.text(ofLookup.set);
    const into = lookup.number(ofLookup.into);
    if (into === verdictRegister) return { kind: 'vmap', key, map: name };
    if (into < 0) return { kind: 'in-set', key, set: name, isNot: lookup.number(ofLookup.flags) === 1 };
    switch (this.#take()?.name) {
      case 'nat':
        return { kind: 'dnat', key, map: name };
      case 'meta':
        return { kind: 'set-priority', key, map: name };
      default:
        return undefined;
    }
  }

  #take(): Expression | undefined {
    return this.#expressions[this.#at++];
  }
}

function isWriteToMark(expression: Expression | undefined): expression is Expression {
  return expression?.name === 'meta' && expression.number(ofMeta.from) >= 0;
}

function hashOf(expression: Expression): Selector {
  return { kind: 'hash', modulus: expression.number(ofHash.modulus), seed: expression.number(ofHash.seed) };
}

function connectionMatch(load: Expression, mask: Expression): Statement | undefined {
  const bits = numberOf(mask.nested(ofBitwise.mask, dataValue));
  if (load.number(ofConnection.key) === connectionKeys.status) return { kind: 'ct-status-dnat' };
  return { kind: bits === connectionBits.new ? 'ct-state-new' : 'ct-state-old' };
}

function protocolMatch(end: Expression): Statement | undefined {
  const [number = 0] = end.nested(ofCompare.value, dataValue);
  const protocol = protocolNameOf(number);
  return protocol && { kind: 'protocol', protocol };
}

function elementChange(change: Expression): Statement {
  const map = change.text(ofDynset.set);
  if (change.number(ofDynset.operation) === changes.delete) return { kind: 'forget', map };
  const timeout = change.nested(ofDynset.timeout);
  return { kind: 'remember', map, seconds: timeout.length === 8 ? Number(timeout.readBigUInt64BE()) / 1000 : 0 };
}

function markStatement(mask: Expression, end: Expression): Statement {
  const bits = numberOf(mask.nested(ofBitwise.mask, dataValue));
  if (end.name === 'cmp') return { kind: 'has-mark', mark: bits };
  return {
    kind: bits === 0xffffffff ? 'flip-mark' : 'set-mark',
    mark: numberOf(mask.nested(ofBitwise.xor, dataValue)),
  };
}

function verdictOf(expression: Expression): Statement | undefined {
  const code = expression.nested(ofImmediate.data, verdictData, verdictPart.code);
  if (code.length !== 4) return undefined;
  const chain = expression.nested(ofImmediate.data, verdictData, verdictPart.chain);
  const text = chain.toString('latin1', 0, Math.max(0, chain.length - 1));
  switch (code.readInt32BE()) {
    case verdictCodes.jump:
      return { kind: 'jump', chain: text };
    case verdictCodes.goto:
      return { kind: 'goto', chain: text };
    case verdictCodes.accept:
      return { kind: 'accept' };
    case verdictCodes.drop:
      return { kind: 'drop' };
    case verdictCodes.return:
      return { kind: 'return' };
    default:
      return undefined;
  }
}

function interfaceName(value: Buffer): string {
  const end = value.indexOf(0);
  return end < 0 ? `${value.toString('latin1')}*` : value.toString('latin1', 0, end);
}

function bitsOf(mask: Buffer): number {
  return mask.reduce((bits, byte) => bits + byte.toString(2).replaceAll('0', '').length, 0);
}

/** In the machine's byte order; 0 where it is no number. */
function numberOf(value: Buffer): number {
  return value.length === 4 ? value.readUInt32LE() : 0;
}
