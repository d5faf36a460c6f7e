/** Keys and values of elements as the kernel has them: each field starts at four bytes. Pure. */
import { addressBits, type Family } from '../../model/address';
import { protocolNumbers } from '../../model/protocol';
import { type Field, fieldBytes } from './objects';

const protocols: Readonly<Record<string, number>> = Object.fromEntries(
  Object.entries(protocolNumbers).map(([name, number]) => [name.toLowerCase(), number]),
);

/** Of ASCII. */
const dot = 0x2e;
const zero = 0x30;

const padded = (bytes: number): number => (bytes + 3) & ~3;

/** Of canonical addresses. */
export function addressBytes(address: string): Buffer {
  const bytes = Buffer.alloc(address.includes(':') ? 16 : 4);
  writeAddress(bytes, 0, address);
  return bytes;
}

/** Length of a key or value; the last field is not padded, and neither is the only one. */
export function valueBytes(fields: readonly Field[], family: Family): number {
  const [only, ...others] = fields;
  if (only !== undefined && others.length === 0) return fieldBytes(only, family);
  return fields.reduce((sum, field) => sum + padded(fieldBytes(field, family)), 0);
}

/** Writes `10.96.0.10 . tcp . 80` into zeroed bytes. Throws TypeError for what is none of such fields. */
export function writeValue(bytes: Buffer, start: number, text: string, { fields, family }: ValueKind): void {
  const parts = text.split(' . ');
  if (parts.length !== fields.length) throw new TypeError(`"${text}" has not ${fields.length} parts`);
  let at = start;
  for (const [i, field] of fields.entries()) {
    const part = parts[i] ?? '';
    if (field === 'address') writeAddress(bytes, at, part);
    else if (field === 'protocol') bytes.writeUInt8(protocolNumber(part), at);
    else if (field === 'port') bytes.writeUInt16BE(Number(part), at);
    else bytes.writeUInt32LE(field === 'priority' ? priorityNumber(part) : Number(part), at);
    at += padded(fieldBytes(field, family));
  }
}

/** `8c1f:23d0`. Throws TypeError for what is none. */
function priorityNumber(text: string): number {
  const [, high, low] = /^([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(text) ?? [];
  if (high === undefined || low === undefined) throw new TypeError(`"${text}" is no priority`);
  return parseInt(high, 16) * 0x10000 + parseInt(low, 16);
}

export interface ValueKind {
  readonly fields: readonly Field[];
  readonly family: Family;
}

function writeAddress(bytes: Buffer, at: number, address: string): void {
  if (address.includes(':')) {
    const bits = addressBits(address);
    bytes.writeBigUInt64BE(bits >> 64n, at);
    bytes.writeBigUInt64BE(bits & 0xffffffffffffffffn, at + 8);
    return;
  }
  let octet = 0;
  let to = at;
  for (let i = 0; i < address.length; i++) {
    const code = address.charCodeAt(i);
    if (code === dot) {
      bytes[to++] = octet;
      octet = 0;
    } else octet = 10 * octet + code - zero;
  }
  bytes[to] = octet;
}

/** A protocol that Services do not have is a number, as it is where it was read. Throws TypeError for what is neither. */
export function protocolNumber(protocol: string): number {
  const found = protocols[protocol] ?? (/^\d+$/.test(protocol) ? Number(protocol) : undefined);
  if (found === undefined) throw new TypeError(`"${protocol}" is no protocol`);
  return found;
}

/** As nft prints it: without leading zeros. */
export function priorityText(value: number): string {
  return `${(value >>> 16).toString(16)}:${(value & 0xffff).toString(16)}`;
}
