/** Elements of sets and maps as the kernel lists them. For more than a hundred thousand, so that nothing is allocated but their texts. Pure. */
import { attributeEnd, findAttribute } from '../../host/netlink-attributes';
import { type Family, formatAddress } from '../../model/address';
import { protocolNameOf } from '../../model/protocol';
import { verdictCodes, verdictPart } from './driver-expressions';
import { dataValue, ofElement, ofElements } from './driver-messages';
import { priorityText } from './driver-values';
import { decodeComment } from './driver-user-data';
import { type Field, fieldBytes, type SetObject } from './objects';
import { printValue } from './print';

const nfgenmsgBytes = 4;
const headerBytes = 4;
const verdictData = 2;

const protocolTexts = Array.from({ length: 256 }, (_, number) => protocolNameOf(number) ?? number.toString());
const verdictTexts = new Map<number, string>(Object.entries(verdictCodes).map(([name, code]) => [code, name]));

/** The key and the value of an element, as ElementReader takes them. In a dynamic set, how long the element stays. */
export type TakeElement = (key: string, value: string, remainingMs: number) => void;

/** Decodes the elements of one set. */
export class ElementDecoder {
  readonly #family: Family;
  readonly #key: readonly Field[];
  readonly #data: SetObject['data'];
  readonly #isDynamic: boolean;

  constructor({ key, data, dynamicSize }: SetObject, family: Family) {
    this.#family = family;
    this.#key = key;
    this.#data = data;
    this.#isDynamic = dynamicSize !== undefined;
  }

  /** Of one message of a dump. The key of what matches all that has no element of its own is `*`. */
  decode(payload: Buffer, take: TakeElement): void {
    const list = findAttribute(payload, nfgenmsgBytes, payload.length, ofElements.elements);
    if (list < 0) return;
    const end = attributeEnd(payload, list);
    for (let at = list; at + headerBytes <= end; ) {
      const length = payload.readUInt16LE(at);
      if (length < headerBytes || at + length > end) return;
      this.#element(payload, at + headerBytes, at + length, take);
      at += (length + 3) & ~3;
    }
  }

  #element(payload: Buffer, start: number, end: number, take: TakeElement): void {
    const key = valueOf(payload, start, end, ofElement.key);
    const comment = findAttribute(payload, start, end, ofElement.userData);
    const value = this.#value(payload, start, end);
    take(
      key < 0 ? '*' : this.#fields(payload, key, this.#key),
      comment < 0 ? value : withComment(value, payload.subarray(comment, attributeEnd(payload, comment))),
      this.#isDynamic ? remainingMs(payload, start, end) : 0,
    );
  }

  #value(payload: Buffer, start: number, end: number): string {
    const data = this.#data;
    if (data === undefined) return '';
    if (data === 'verdict') {
      const at = findAttribute(payload, start, end, ofElement.data);
      return at < 0 ? '' : verdictText(payload, at, attributeEnd(payload, at));
    }
    const value = valueOf(payload, start, end, ofElement.data);
    return value < 0 ? '' : this.#fields(payload, value, data);
  }

  #fields(payload: Buffer, start: number, fields: readonly Field[]): string {
    let text = '';
    let at = start;
    for (const field of fields) {
      if (at > start) text += ' . ';
      text += this.#field(payload, at, field);
      at += (fieldBytes(field, this.#family) + 3) & ~3;
    }
    return text;
  }

  #field(payload: Buffer, at: number, field: Field): string {
    switch (field) {
      case 'address':
        return this.#family === 'IPv4' ? addressText(payload, at) : longAddressText(payload, at);
      case 'protocol':
        return protocolTexts[payload[at] ?? 0] ?? '';
      case 'port':
        return payload.readUInt16BE(at).toString();
      case 'index':
        return payload.readUInt32LE(at).toString();
      case 'priority':
        return priorityText(payload.readUInt32LE(at));
    }
  }
}

function addressText(payload: Buffer, at: number): string {
  return `${payload[at] ?? 0}.${payload[at + 1] ?? 0}.${payload[at + 2] ?? 0}.${payload[at + 3] ?? 0}`;
}

function longAddressText(payload: Buffer, at: number): string {
  return formatAddress('IPv6', (payload.readBigUInt64BE(at) << 64n) | payload.readBigUInt64BE(at + 8));
}

/** Returns where the value starts that is nested in an attribute, or -1. */
function valueOf(payload: Buffer, start: number, end: number, type: number): number {
  const at = findAttribute(payload, start, end, type);
  return at < 0 ? -1 : findAttribute(payload, at, attributeEnd(payload, at), dataValue);
}

function verdictText(payload: Buffer, start: number, end: number): string {
  const verdict = findAttribute(payload, start, end, verdictData);
  if (verdict < 0) return '';
  const verdictEnd = attributeEnd(payload, verdict);
  const code = findAttribute(payload, verdict, verdictEnd, verdictPart.code);
  const chain = findAttribute(payload, verdict, verdictEnd, verdictPart.chain);
  const number = code < 0 ? NaN : payload.readInt32BE(code);
  const word = verdictTexts.get(number) ?? `(another verdict, ${number})`;
  // A name ends with a zero byte.
  return chain < 0 ? word : `${word} ${payload.toString('latin1', chain, attributeEnd(payload, chain) - 1)}`;
}

function remainingMs(payload: Buffer, start: number, end: number): number {
  const at = findAttribute(payload, start, end, ofElement.expiration);
  return at < 0 ? 0 : Number(payload.readBigUInt64BE(at));
}

function withComment(value: string, userData: Buffer): string {
  const comment = decodeComment('element', userData);
  return printValue({ value, ...(comment !== undefined && { comment }) });
}
