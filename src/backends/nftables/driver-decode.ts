/** Chains, rules and sets as the kernel lists them, in the texts of `print.ts`. Pure. */
import type { Family } from '../../model/address';
import { attributesOf, decodeExpressions, textOf } from './driver-decode-expressions';
import { StatementDecoder } from './driver-decode-statements';
import {
  accept,
  addressTypes,
  bitsPerType,
  descriptionSize,
  hooks,
  ofChain,
  ofRule,
  ofSet,
  setFlags,
  type TableMessage,
  TableMessages,
  typeNumbers,
  verdictType,
} from './driver-messages';
import { decodeComment } from './driver-user-data';
import type { BaseChainHook, Field, SetObject } from './objects';
import { printChainText, printRule, printSetText } from './print';

const nfgenmsgBytes = 4;
const ofHook = { number: 1, priority: 2 } as const;
/** NFTA_SET_: what a set of ours does not have. */
const ofOtherSet = { timeout: 11, expression: 17, expressions: 18 } as const;
/** NFT_SET_ANONYMOUS */
const isAnonymous = 1;

const fieldNames = ['address', 'protocol', 'port', 'index', 'priority'] as const;

type Attributes = ReadonlyMap<number, Buffer>;

export interface Decoded {
  readonly table: string;
  readonly name: string;
  readonly text: string;
}

/**
 * Decodes what one family's table has. What is not decoded, or not all of it, gets a text in parentheses, which nothing of ours has:
 * whatever was decoded is encoded again, and compared with what the kernel has.
 */
export class TableDecoder {
  readonly #family: Family;
  readonly #messages: TableMessages;

  constructor(family: Family) {
    this.#family = family;
    this.#messages = new TableMessages(family);
  }

  /** A chain without its rules. */
  chain(payload: Buffer): Decoded {
    const chain = read(payload);
    const hook = chain.get(ofChain.hook);
    const base = hook && decodeHook(chain, new Map(attributesOf(hook, 0, hook.length)));
    const text =
      hook === undefined
        ? ''
        : base === undefined
          ? '(another hook)'
          : printChainText({ base, rules: [] }, this.#family);
    return { table: textOf(chain.get(ofChain.table)), name: textOf(chain.get(ofChain.name)), text };
  }

  /** One rule; the name is its chain's. */
  rule(payload: Buffer): Decoded {
    const rule = read(payload);
    const names = { table: textOf(rule.get(ofRule.table)), name: textOf(rule.get(ofRule.chain)) };
    const expressions = decodeExpressions(rule.get(ofRule.expressions) ?? Buffer.alloc(0));
    const statements = new StatementDecoder(expressions, this.#family).decode();
    if (statements !== undefined) {
      const comment = decodeComment('rule', rule.get(ofRule.userData));
      const decoded = { statements, ...(comment !== undefined && { comment }) };
      const again = this.#encodeAgain(() => this.#messages.addRule(names.name, decoded));
      const bytecode = decodeExpressions(again.get(ofRule.expressions) ?? Buffer.alloc(0));
      if (bytecode.join() === expressions.join()) return { ...names, text: printRule(decoded, this.#family) };
    }
    return { ...names, text: `(another rule: ${expressions.map(({ name }) => name).join(' ')})` };
  }

  /**
   * `set` is undefined where it is none that we could have made. Returns undefined for what belongs to a rule, as `{ 80, 443 }` in it does,
   * and goes with it.
   */
  set(payload: Buffer): (Decoded & { readonly set: SetObject | undefined }) | undefined {
    const attributes = read(payload);
    if ((numberOf(attributes, ofSet.flags) & isAnonymous) !== 0) return undefined;
    const names = { table: textOf(attributes.get(ofSet.table)), name: textOf(attributes.get(ofSet.name)) };
    const set = this.#set(names.name, attributes);
    if (set === undefined) return { ...names, set, text: `(another set, flags ${numberOf(attributes, ofSet.flags)})` };
    return { ...names, set, text: printSetText(set, this.#family) };
  }

  #set(name: string, attributes: Attributes): SetObject | undefined {
    const key = this.#fields(numberOf(attributes, ofSet.keyType));
    const hasData = (numberOf(attributes, ofSet.flags) & setFlags.map) !== 0;
    const dataType = numberOf(attributes, ofSet.dataType);
    const data = dataType === verdictType ? 'verdict' : hasData ? this.#fields(dataType) : undefined;
    if (key === undefined || (hasData && data === undefined)) return undefined;
    const size = sizeOf(attributes);
    const set: SetObject = { name, key, ...(data !== undefined && { data }), ...(size > 0 && { dynamicSize: size }) };
    const again = this.#encodeAgain(() => this.#messages.addSet(set, 1));
    const { flags, keyType, keyBytes, dataType: typeOfData, dataBytes } = ofSet;
    // The kernel has its own length of verdicts.
    const isSame = [flags, keyType, keyBytes, typeOfData, ...(data === 'verdict' ? [] : [dataBytes])].every(
      (type) => numberOf(again, type) === numberOf(attributes, type),
    );
    return isSame && Object.values(ofOtherSet).every((type) => !attributes.has(type)) ? set : undefined;
  }

  #fields(type: number): readonly Field[] | undefined {
    const numbers: Readonly<Record<Field, number>> = { ...typeNumbers, address: addressTypes[this.#family] };
    const fields: Field[] = [];
    for (let rest = type; rest > 0; rest >>>= bitsPerType) {
      const number = rest & ((1 << bitsPerType) - 1);
      const found = fieldNames.find((field) => numbers[field] === number);
      if (found === undefined) return undefined;
      fields.unshift(found);
    }
    return fields.length === 0 ? undefined : fields;
  }

  /** Returns no attributes where it cannot be encoded. */
  #encodeAgain(encode: () => TableMessage): Attributes {
    try {
      return read(encode().payload);
    } catch {
      return new Map();
    }
  }
}

function read(payload: Buffer): Attributes {
  return new Map(attributesOf(payload, nfgenmsgBytes, payload.length));
}

/** Returns 0 where there is no such number. */
function numberOf(attributes: Attributes, type: number): number {
  const value = attributes.get(type);
  return value?.length === 4 ? value.readUInt32BE() : 0;
}

/** How many elements fit; 0 where nothing says so. */
function sizeOf(attributes: Attributes): number {
  const description = attributes.get(ofSet.description);
  return description === undefined
    ? 0
    : numberOf(new Map(attributesOf(description, 0, description.length)), descriptionSize);
}

function decodeHook(chain: Attributes, hook: Attributes): BaseChainHook | undefined {
  const type = textOf(chain.get(ofChain.type));
  const number = numberOf(hook, ofHook.number);
  const names = ['prerouting', 'input', 'forward', 'output', 'postrouting'] as const;
  const name = names.find((one) => hooks[one] === number);
  if ((type !== 'filter' && type !== 'nat') || name === undefined) return undefined;
  if (numberOf(chain, ofChain.policy) !== accept) return undefined;
  return { type, hook: name, priority: numberOf(hook, ofHook.priority) | 0 };
}
