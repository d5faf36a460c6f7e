import fc from 'fast-check';
import {
  attributeEnd,
  AttributeWriter,
  encodeAttribute,
  encodeNested,
  findAttribute,
} from '../../src/host/netlink-attributes';

const attributesArb = fc.uniqueArray(
  fc.record({ type: fc.integer({ min: 1, max: 0x3fff }), value: fc.uint8Array({ maxLength: 40 }) }),
  { selector: ({ type }) => type, maxLength: 8 },
);

function valueAt(message: Buffer, at: number): Uint8Array {
  return new Uint8Array(message.subarray(at, attributeEnd(message, at)));
}

test('each attribute is found among the others, with its own value', () => {
  fc.assert(
    fc.property(attributesArb, fc.integer({ min: 1, max: 0x3fff }), (attributes, other) => {
      const message = Buffer.concat(attributes.map(({ type, value }) => encodeAttribute(type, value)));
      expect(message.length % 4).toBe(0);
      for (const { type, value } of attributes)
        expect(valueAt(message, findAttribute(message, 0, message.length, type))).toEqual(value);
      if (attributes.every(({ type }) => type !== other))
        expect(findAttribute(message, 0, message.length, other)).toBe(-1);
    }),
  );
});

test('the writer writes the same bytes, over whatever the buffer held before', () => {
  fc.assert(
    fc.property(attributesArb, fc.nat(255), (attributes, before) => {
      const expected = Buffer.concat(attributes.map(({ type, value }) => encodeAttribute(type, value)));
      const message = Buffer.alloc(expected.length, before);
      const writer = new AttributeWriter(message, 0);
      for (const { type, value } of attributes) writer.bytes(type, value);
      expect(writer.end).toBe(expected.length);
      expect(message).toEqual(expected);
    }),
  );
});

test.each<[string, (writer: AttributeWriter) => void, string]>([
  ['uint8', (writer) => writer.uint8(1, 0xab), '05000100ab000000'],
  ['uint16', (writer) => writer.uint16(1, 0xabcd), '06000100cdab0000'],
  ['uint16BE', (writer) => writer.uint16BE(1, 0xabcd), '06000100abcd0000'],
  ['uint32', (writer) => writer.uint32(1, 0x89abcdef), '08000100efcdab89'],
  ['uint32BE', (writer) => writer.uint32BE(1, 0x89abcdef), '0800010089abcdef'],
  ['string', (writer) => writer.string(2, 'rr'), '0700020072720000'],
  ['room', (writer) => void writer.room(1, 2), '0600010000000000'],
  ['nested', (writer) => writer.nested(3, () => writer.uint8(1, 7)), '0c0003800500010007000000'],
])('%s as struct nlattr has it, on a little-endian machine', (_, write, hex) => {
  const message = Buffer.alloc(hex.length / 2, 0xff);
  write(new AttributeWriter(message, 0));
  expect(message.toString('hex')).toBe(hex);
});

test('a nested attribute is found by its type, without the flag', () => {
  const inner = encodeAttribute(1, Buffer.from([7]));
  const message = encodeNested(3, inner);
  expect(findAttribute(message, 0, message.length, 3)).toBe(4);
  expect(valueAt(message, 4)).toEqual(new Uint8Array(inner));
});

test.each([
  ['ends in the middle of a header', '0800'],
  ['says that it is longer than the message', '0900010000000000'],
  ['says that it is shorter than its header', '0300010000000000'],
])('nothing is found in a message that %s', (_, hex) => {
  const message = Buffer.from(hex, 'hex');
  expect(findAttribute(message, 0, message.length, 1)).toBe(-1);
});
