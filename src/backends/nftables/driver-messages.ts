/** Messages of a transaction of nf_tables (linux/netfilter/nf_tables.h), as nft would send them. Pure. */
import { AttributeWriter } from '../../host/netlink-attributes';
import type { Family } from '../../model/address';
import { ExpressionWriter, milliseconds, parseVerdict, writeVerdict } from './driver-expressions';
import { writeStatement } from './driver-statements';
import { encodeComment, encodeSetUserData } from './driver-user-data';
import { valueBytes, type ValueKind, writeValue } from './driver-values';
import {
  type BaseChainHook,
  type ChainObject,
  type Field,
  type Rule,
  type SetElement,
  type SetObject,
  tableName,
} from './objects';

/** One message of a transaction. */
export interface TableMessage {
  readonly type: number;
  readonly flags: number;
  /** From struct nfgenmsg on. */
  readonly payload: Buffer;
}

export const subsystem = 10 << 8; // NFNL_SUBSYS_NFTABLES
/** NFT_MSG_ */
const messageTypes = {
  newTable: 0,
  deleteTable: 2,
  newChain: 3,
  deleteChain: 5,
  newRule: 6,
  deleteRule: 8,
  newSet: 9,
  deleteSet: 11,
  newElements: 12,
  deleteElements: 14,
} as const;
/** NLM_F_ */
const create = 0x400;
const append = 0x800;

export const familyNumbers = { IPv4: 2, IPv6: 10 } as const;
/** NFTA_TABLE_, _CHAIN_, _RULE_, _SET_, _SET_ELEM_LIST_, _SET_ELEM_ */
const ofTable = { name: 1, userData: 6 } as const;
export const ofChain = { table: 1, name: 3, hook: 4, policy: 5, type: 7 } as const;
export const ofRule = { table: 1, chain: 2, expressions: 4, userData: 7 } as const;
export const ofSet = {
  table: 1,
  name: 2,
  flags: 3,
  keyType: 4,
  keyBytes: 5,
  dataType: 6,
  dataBytes: 7,
  description: 9,
  id: 10,
  userData: 13,
} as const;
export const ofElements = { table: 1, set: 2, elements: 3 } as const;
export const ofElement = { key: 1, data: 2, flags: 3, timeout: 4, expiration: 5, userData: 6 } as const;
/** NFT_SET_ELEM_CATCHALL: an element without a key, which nft prints as `*`. */
const catchAll = 2;
const listElement = 1;
export const dataValue = 1;

export const hooks: Readonly<Record<BaseChainHook['hook'], number>> = {
  prerouting: 0,
  input: 1,
  forward: 2,
  output: 3,
  postrouting: 4,
};
/** NF_ACCEPT */
export const accept = 1;
/** NFT_SET_MAP, and NFT_SET_TIMEOUT with NFT_SET_EVAL */
export const setFlags = { map: 8, dynamic: 0x30 } as const;
/** NFTA_SET_DESC_SIZE */
export const descriptionSize = 1;
/** NFT_DATA_VERDICT */
export const verdictType = 0xffffff00;
/** nft's own numbers of the types, which it keeps in the kernel (datatype.h). */
export const typeNumbers: Readonly<Record<Exclude<Field, 'address'>, number>> = {
  index: 4,
  protocol: 12,
  port: 13,
  priority: 23,
};
export const addressTypes = { IPv4: 7, IPv6: 8 } as const;
export const bitsPerType = 6;

/** An error has its whole message in it, and is to fit the receive buffer; the fewer elements it is about, the better. */
const mostListBytes = 7000;
const mostElementBytes = 512;

/** Makes the messages of one family's table. */
export class TableMessages {
  readonly #family: Family;

  constructor(family: Family) {
    this.#family = family;
  }

  addTable(comment: string): TableMessage {
    return this.#message(messageTypes.newTable, create, (writer) => {
      writer.string(ofTable.name, tableName);
      writer.bytes(ofTable.userData, encodeComment('table', comment));
    });
  }

  deleteTable(): TableMessage {
    return this.#message(messageTypes.deleteTable, 0, (writer) => writer.string(ofTable.name, tableName));
  }

  addChain({ name, base }: Pick<ChainObject, 'name' | 'base'>): TableMessage {
    return this.#message(messageTypes.newChain, create, (writer) => {
      writer.string(ofChain.table, tableName);
      writer.string(ofChain.name, name);
      if (base !== undefined) writeHook(writer, base);
    });
  }

  /** The kernel refuses it where a rule or an element leads to the chain. */
  deleteChain(name: string): TableMessage {
    return this.#named(messageTypes.deleteChain, ofChain.name, name);
  }

  /** At the end of the chain. */
  addRule(chain: string, { statements, comment }: Rule): TableMessage {
    return this.#message(messageTypes.newRule, create | append, (writer) => {
      writer.string(ofRule.table, tableName);
      writer.string(ofRule.chain, chain);
      const expressions = new ExpressionWriter(writer, this.#family);
      writer.nested(ofRule.expressions, () => {
        for (const statement of statements) writeStatement(expressions, statement);
      });
      if (comment !== undefined) writer.bytes(ofRule.userData, encodeComment('rule', comment));
    });
  }

  /** All rules of the chain. */
  flushChain(name: string): TableMessage {
    return this.#named(messageTypes.deleteRule, ofRule.chain, name);
  }

  /** @param id tells the set from others of the same transaction. */
  addSet(set: SetObject, id: number): TableMessage {
    const { name, key, data, dynamicSize } = set;
    const flags = (data === undefined ? 0 : setFlags.map) | (dynamicSize === undefined ? 0 : setFlags.dynamic);
    return this.#message(messageTypes.newSet, create, (writer) => {
      writer.string(ofSet.table, tableName);
      writer.string(ofSet.name, name);
      writer.uint32BE(ofSet.flags, flags);
      writer.uint32BE(ofSet.keyType, this.#typeOf(key));
      writer.uint32BE(ofSet.keyBytes, valueBytes(key, this.#family));
      if (data !== undefined) {
        writer.uint32BE(ofSet.dataType, data === 'verdict' ? verdictType : this.#typeOf(data));
        writer.uint32BE(ofSet.dataBytes, data === 'verdict' ? 0 : valueBytes(data, this.#family));
      }
      if (dynamicSize !== undefined)
        writer.nested(ofSet.description, () => writer.uint32BE(descriptionSize, dynamicSize));
      writer.uint32BE(ofSet.id, id);
      writer.bytes(ofSet.userData, encodeSetUserData(set, this.#family));
    });
  }

  deleteSet(name: string): TableMessage {
    return this.#named(messageTypes.deleteSet, ofSet.name, name);
  }

  /** As many messages as the elements need. */
  *addElements(set: SetObject, elements: Iterable<SetElement>): Generator<TableMessage> {
    yield* this.#elements(messageTypes.newElements, set, elements);
  }

  /** The kernel refuses elements that are not there. */
  *deleteElements(set: SetObject, elements: Iterable<SetElement>): Generator<TableMessage> {
    yield* this.#elements(messageTypes.deleteElements, set, elements);
  }

  *#elements(type: number, set: SetObject, elements: Iterable<SetElement>): Generator<TableMessage> {
    const rest = elements[Symbol.iterator]();
    for (let next = rest.next(); next.done !== true; ) {
      yield this.#message(type, type === messageTypes.newElements ? create : 0, (writer) => {
        writer.string(ofElements.table, tableName);
        writer.string(ofElements.set, set.name);
        writer.nested(ofElements.elements, () => {
          for (; next.done !== true && writer.end < mostListBytes; next = rest.next())
            this.#element(writer, set, next.value);
        });
      });
    }
  }

  #element(writer: AttributeWriter, { key, data }: SetObject, element: SetElement): void {
    writer.nested(listElement, () => {
      if (element.timeout !== undefined) {
        writer.bytes(ofElement.timeout, milliseconds(1000 * element.timeout.seconds));
        writer.bytes(ofElement.expiration, milliseconds(element.timeout.remainingMs));
      }
      if (element.key === '*') writer.uint32BE(ofElement.flags, catchAll);
      else writer.nested(ofElement.key, () => this.#value(writer, key, element.key));
      if (data !== undefined && element.value !== undefined) {
        const { value } = element;
        writer.nested(ofElement.data, () => {
          if (data === 'verdict') {
            const { code, chain } = parseVerdict(value);
            writeVerdict(writer, code, chain);
          } else this.#value(writer, data, value);
        });
      }
      if (element.comment !== undefined) writer.bytes(ofElement.userData, encodeComment('element', element.comment));
    });
  }

  #value(writer: AttributeWriter, fields: readonly Field[], text: string): void {
    const kind: ValueKind = { fields, family: this.#family };
    const at = writer.room(dataValue, valueBytes(fields, this.#family));
    writeValue(writer.message, at, text, kind);
  }

  #typeOf(fields: readonly Field[]): number {
    return fields.reduce(
      (type, field) => (type << bitsPerType) | (field === 'address' ? addressTypes[this.#family] : typeNumbers[field]),
      0,
    );
  }

  #named(type: number, attribute: number, name: string): TableMessage {
    return this.#message(type, 0, (writer) => {
      // NFTA_..._TABLE is 1 in all of them.
      writer.string(ofChain.table, tableName);
      writer.string(attribute, name);
    });
  }

  #message(type: number, flags: number, write: (writer: AttributeWriter) => void): TableMessage {
    const writer = new AttributeWriter(room, 4);
    room.writeUInt32LE(familyNumbers[this.#family], 0);
    write(writer);
    return { type: subsystem | type, flags, payload: Buffer.from(room.subarray(0, writer.end)) };
  }
}

/** Messages are written here, and then copied: one at a time. */
const room = Buffer.alloc(mostListBytes + 2 * mostElementBytes + 4096);

function writeHook(writer: AttributeWriter, { type, hook, priority }: BaseChainHook): void {
  writer.string(ofChain.type, type);
  writer.uint32BE(ofChain.policy, accept);
  writer.nested(ofChain.hook, () => {
    writer.uint32BE(1, hooks[hook]);
    writer.uint32BE(2, priority);
  });
}
