/** How many writes fit one transaction, by an upper estimate of their messages that encodes nothing. */
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

/** How many of the writes, from `start` on, fit one transaction; at least one, where there is one. */
export function takeWrites(writes: readonly TableWrite[], family: Family, start = 0): number {
  let size: Size = { messages: 0, bytes: 0 };
  let count = 0;
  for (let at = start; at < writes.length; at++) {
    const write = writes[at];
    if (write === undefined) break;
    size = sumOf(size, sizeOfWrite(write, family));
    if (count > 0 && !fits(size)) break;
    count++;
  }
  return count;
}

/**
 * Splits a write of elements into parts that fit a transaction each. Any other write is its only part. The rules of a chain cannot be
 * split: up to 190 short ones fit.
 */
export function splitWrite(write: TableWrite, family: Family): readonly TableWrite[] {
  if ((write.op !== 'add-elements' && write.op !== 'delete-elements') || fits(sizeOfWrite(write, family)))
    return [write];
  const parts: TableWrite[] = [];
  const sizeOfElement = elementSizes(write.set, family);
  const most = stepLimits.bytes - 2 * listBytes;
  let bytes = 0;
  let first = 0;
  for (const [i, element] of write.elements.entries()) {
    const more = sizeOfElement(element);
    if (bytes + more > most) {
      parts.push({ ...write, elements: write.elements.slice(first, i) });
      first = i;
      bytes = 0;
    }
    bytes += more;
  }
  parts.push({ ...write, elements: write.elements.slice(first) });
  return parts;
}

/**
 * Cuts an ordered list into steps that fit a transaction each. What must be done at once, such as the deletion of an element and its new
 * value, is one unit, and stays together; a unit of one write of elements is split where it must be.
 */
export function packWrites(units: Iterable<readonly TableWrite[]>, family: Family): readonly (readonly TableWrite[])[] {
  const steps: TableWrite[][] = [];
  let step: TableWrite[] = [];
  let size: Size = { messages: 0, bytes: 0 };
  const add = (unit: readonly TableWrite[]): void => {
    const more = unit.map((write) => sizeOfWrite(write, family)).reduce(sumOf, { messages: 0, bytes: 0 });
    const both = sumOf(size, more);
    if (step.length > 0 && !fits(both)) {
      steps.push(step);
      step = [];
      size = more;
    } else size = both;
    step.push(...unit);
  };
  for (const unit of units) {
    const [only, ...others] = unit;
    if (only !== undefined && others.length === 0) for (const part of splitWrite(only, family)) add([part]);
    else add(unit);
  }
  return step.length > 0 ? [...steps, step] : steps;
}

function fits({ messages, bytes }: Size): boolean {
  return messages <= stepLimits.messages && bytes <= stepLimits.bytes;
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
    case 'flush-set':
      return { messages: 1, bytes: messageStart + text(write.set.name) };
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
