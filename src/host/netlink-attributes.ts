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

/** Calls onAttribute with the value's place in `message` for each attribute between start and end. */
export function eachAttribute(
  message: Buffer,
  start: number,
  end: number,
  onAttribute: (type: number, start: number, end: number) => void,
): void {
  for (let at = start; at + headerBytes <= end; ) {
    const length = message.readUInt16LE(at);
    if (length < headerBytes || at + length > end) return;
    onAttribute(message.readUInt16LE(at + 2) & typeMask, at + headerBytes, at + length);
    at += padded(length);
  }
}
