/** Netlink attributes (struct nlattr). Their headers are little-endian here, since the addon is only built for such machines. */

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

/** Returns where the value of the first attribute of the type starts, among the attributes from start to end, or -1. */
export function findAttribute(message: Buffer, start: number, end: number, type: number): number {
  for (let at = start; at + headerBytes <= end; ) {
    const length = message.readUInt16LE(at);
    if (length < headerBytes || at + length > end) return -1;
    if ((message.readUInt16LE(at + 2) & typeMask) === type) return at + headerBytes;
    at += padded(length);
  }
  return -1;
}

/** Returns where the value that starts here ends. */
export function attributeEnd(message: Buffer, valueStart: number): number {
  return valueStart - headerBytes + message.readUInt16LE(valueStart - headerBytes);
}

/** Writes attributes into a message, one after the other, without allocating anything: for tens of thousands of messages. */
export class AttributeWriter {
  /** Where the next attribute starts, after the padding of the last one. */
  end: number;

  constructor(
    readonly message: Buffer,
    start: number,
  ) {
    this.end = start;
  }

  #header(type: number, valueBytes: number): number {
    const value = this.end + headerBytes;
    this.message.writeUInt16LE(headerBytes + valueBytes, this.end);
    this.message.writeUInt16LE(type, this.end + 2);
    this.end = value + padded(valueBytes);
    return value;
  }

  // Numbers of one or two bytes are written as four, which clears the padding.

  uint8(type: number, value: number): void {
    this.message.writeUInt32LE(value & 0xff, this.#header(type, 1));
  }

  uint16(type: number, value: number): void {
    this.message.writeUInt32LE(value & 0xffff, this.#header(type, 2));
  }

  /** In network byte order, as ports are. */
  uint16BE(type: number, value: number): void {
    this.message.writeUInt32BE((value & 0xffff) * 0x10000, this.#header(type, 2));
  }

  uint32(type: number, value: number): void {
    this.message.writeUInt32LE(value, this.#header(type, 4));
  }

  /** In network byte order, as all numbers of nf_tables are. */
  uint32BE(type: number, value: number): void {
    this.message.writeUInt32BE(value >>> 0, this.#header(type, 4));
  }

  bytes(type: number, value: Uint8Array): void {
    this.message.set(value, this.room(type, value.length));
  }

  /** ASCII text, with a final zero byte. */
  string(type: number, text: string): void {
    const start = this.#header(type, text.length + 1);
    this.message.fill(0, start + text.length, this.end);
    this.message.write(text, start, 'latin1');
  }

  /** Reserves zeroed room for a value that the caller writes. Returns where it starts. */
  room(type: number, valueBytes: number): number {
    const start = this.#header(type, valueBytes);
    this.message.fill(0, start, this.end);
    return start;
  }

  /** Nests what `attributes` writes in this attribute. */
  nested(type: number, attributes: () => void): void {
    const start = this.end;
    this.#header(type | nestedFlag, 0);
    attributes();
    this.message.writeUInt16LE(this.end - start, start);
  }
}
