/** Netlink attributes (struct nlattr): little-endian headers, since the addon is built for such machines alone. */

const headerBytes = 4;
const nestedFlag = 0x8000;
const typeMask = 0x3fff;

const padded = (length: number): number => (length + 3) & ~3;

/** One attribute, padded. */
export function encodeAttribute(type: number, value: Uint8Array): Buffer {
  const attribute = Buffer.alloc(padded(headerBytes + value.length));
  attribute.writeUInt16LE(headerBytes + value.length, 0);
  attribute.writeUInt16LE(type, 2);
  attribute.set(value, headerBytes);
  return attribute;
}

export function encodeNested(type: number, ...attributes: readonly Uint8Array[]): Buffer {
  return encodeAttribute(type | nestedFlag, Buffer.concat(attributes));
}

/** Where the value of the first attribute of the type starts, in attributes between start and end; -1 without one. */
export function findAttribute(message: Buffer, start: number, end: number, type: number): number {
  for (let at = start; at + headerBytes <= end; ) {
    const length = message.readUInt16LE(at);
    if (length < headerBytes || at + length > end) return -1;
    if ((message.readUInt16LE(at + 2) & typeMask) === type) return at + headerBytes;
    at += padded(length);
  }
  return -1;
}

/** Where the value that starts here ends. */
export function attributeEnd(message: Buffer, valueStart: number): number {
  return valueStart - headerBytes + message.readUInt16LE(valueStart - headerBytes);
}
