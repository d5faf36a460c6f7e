import { decodeText } from '../../src/host/text-encoding';

const text = 'kind: Service # größer';
const utf16le = Buffer.from(text, 'utf16le');
const utf16be = Buffer.from(utf16le).swap16();

test.each([
  ['UTF-8', Buffer.from(text)],
  ['UTF-8 with a byte order mark', Buffer.from(`\ufeff${text}`)],
  ['UTF-16, little-endian', Buffer.from(`\ufeff${text}`, 'utf16le')],
  ['UTF-16, big-endian', Buffer.concat([Buffer.from([0xfe, 0xff]), utf16be])],
])('%s is read', (_, bytes) => expect(decodeText(bytes, 'a.yaml')).toBe(text));

test.each([
  ['UTF-16 without a mark', utf16le, 'it is UTF-16 without a byte order mark: save it as UTF-8'],
  ['big-endian UTF-16 without a mark', utf16be, 'it is UTF-16 without a byte order mark: save it as UTF-8'],
  ['UTF-32', Buffer.from([0xff, 0xfe, 0, 0, 0x61, 0, 0, 0]), 'it is UTF-32: save it as UTF-8'],
  ['big-endian UTF-32', Buffer.from([0, 0, 0xfe, 0xff, 0, 0, 0, 0x61]), 'it is UTF-32: save it as UTF-8'],
])('%s is refused, with what to do', (_, bytes, reason) => {
  let error: unknown;
  try {
    decodeText(bytes, 'a.yaml');
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toMatchObject({ message: `a.yaml: ${reason}`, code: reason });
});

test.each(['', 'a', 'ab', 'abc', '\0\0\0\0'])('%j is too little to be taken for UTF-16', (short) => {
  expect(decodeText(Buffer.from(short), 'a.yaml')).toBe(short);
});
