/** How much of a transaction a change takes: an upper estimate of its messages that encodes nothing. */
import type { Family } from '../../model/address';
import {
  type Field,
  fieldBytes,
  type Rule,
  type SetElement,
  type SetObject,
  type Statement,
  type TableWrite,
  tableName,
} from './objects';

/** What a transaction may have (`transactionLimits` of the host's transactions). */
export const stepLimits = { messages: 192, bytes: 96 * 1024 } as const;

/** The headers of netlink and of nf_tables, with the name of the table. */
const messageStart = 16 + 4 + text(tableName);
/** A message of elements ends when it has so many bytes, so that many elements are several messages. */
const listBytes = 7000;
/** Of the longest expression, names not counted: a mask of IPv6 addresses. */
const expressionBytes = 100;
/** What a set has besides names: flags, types, and user data that says how its values print. */
const setBytes = 512;
/** Bytes around an element's key and value. */
const elementBytes = { key: 12, value: 8, verdict: 20, timeout: 24 } as const;

export interface Size {
  readonly messages: number;
  readonly bytes: number;
}

export function sumOf(a: Size, b: Size): Size {
  return { messages: a.messages + b.messages, bytes: a.bytes + b.bytes };
}

/** At least what the messages of the write take. */
export function sizeOfWrite(write: TableWrite, family: Family): Size {
  switch (write.op) {
    case 'add-table':
    case 'delete-table':
      return { messages: 1, bytes: messageStart + 256 };
    case 'add-set':
      return { messages: 1, bytes: messageStart + setBytes + text(write.set.name) + text(write.set.comment) };
    case 'add-chain':
      return { messages: 1, bytes: messageStart + 64 + text(write.chain.name) };
    case 'delete-set':
      return { messages: 1, bytes: messageStart + text(write.set) };
    case 'delete-chain':
      return { messages: 1, bytes: messageStart + text(write.chain) };
    case 'set-rules': {
      const start = messageStart + text(write.chain);
      const bytes = write.rules.reduce((all, rule) => all + start + ruleSize(rule), start);
      return { messages: 1 + write.rules.length, bytes };
    }
    case 'add-elements':
    case 'delete-elements': {
      const { set, elements } = write;
      const sizeOfElement = elementSizes(set, family);
      const bytes = elements.reduce((all, element) => all + sizeOfElement(element), 0);
      const messages = Math.ceil(bytes / listBytes);
      return { messages, bytes: bytes + messages * (messageStart + text(set.name) + 4) };
    }
  }
}

function ruleSize({ statements, comment }: Rule): number {
  const bytes = statements.reduce((all, statement) => all + statementSize(statement), 0);
  return 4 + bytes + text(comment) + 4;
}

function statementSize(statement: Statement): number {
  switch (statement.kind) {
    case 'address':
    case 'ct-state-new':
    case 'ct-state-old':
    case 'ct-status-dnat':
    case 'has-mark':
    case 'set-mark':
    case 'flip-mark':
      return 3 * expressionBytes;
    case 'interface':
    case 'is-local':
    case 'protocol':
      return 2 * expressionBytes;
    case 'in-set':
      return keySize(statement.key) + expressionBytes + text(statement.set);
    case 'remember':
    case 'forget':
      return 4 * expressionBytes + text(statement.map);
    case 'vmap':
    case 'dnat':
    case 'set-priority':
      return keySize(statement.key) + 2 * expressionBytes + text(statement.map);
    case 'jump':
    case 'goto':
      return expressionBytes + text(statement.chain);
    default:
      return expressionBytes;
  }
}

/** A hash needs two expressions. */
function keySize(key: readonly { readonly kind: string }[]): number {
  return key.reduce((all, { kind }) => all + (kind === 'hash' ? 2 : 1) * expressionBytes, 0);
}

/** Returns what tells an element's bytes. */
export function elementSizes({ key, data }: SetObject, family: Family): (element: SetElement) => number {
  const keyBytes = elementBytes.key + fieldsSize(key, family);
  const isVerdict = data === 'verdict';
  const valueBytes =
    data === undefined ? 0 : isVerdict ? elementBytes.verdict : elementBytes.value + fieldsSize(data, family);
  return ({ value, comment, timeout }) => {
    const ofValue = value === undefined ? 0 : valueBytes + (isVerdict ? text(value) : 0);
    const ofTimeout = timeout === undefined ? 0 : elementBytes.timeout;
    return keyBytes + ofValue + ofTimeout + (comment === undefined ? 0 : 4 + text(comment));
  };
}

function fieldsSize(fields: readonly Field[], family: Family): number {
  return fields.reduce((all, field) => all + padded(fieldBytes(field, family)), 0);
}

/** An attribute with text. */
function text(value: string | undefined): number {
  return value === undefined ? 0 : 4 + padded(value.length + 1);
}

function padded(bytes: number): number {
  return (bytes + 3) & ~3;
}
