import fc from 'fast-check';
import type { Family } from '../../src/model/address';
import {
  addressBits,
  addressWidth,
  cidrContains,
  families,
  familyOf,
  formatAddress,
  formatCidr,
  isLinkLocalIPv6,
  isUnicast,
  isLoopback,
  joinHostPort,
  parseAddress,
  parseCidr,
} from '../../src/model/address';

const familyArb = fc.constantFrom<Family>(...families);
const bitsOf = (family: Family): fc.Arbitrary<bigint> =>
  family === 'IPv4'
    ? fc.bigInt(0n, (1n << 32n) - 1n)
    : // Groups of zeros are where the text gets interesting.
      fc
        .array(fc.oneof(fc.constant(0n), fc.bigInt(0n, 0xffffn)), { minLength: 8, maxLength: 8 })
        .map((groups) => groups.reduce((bits, group) => (bits << 16n) | group, 0n))
        .filter((bits) => bits >> 32n !== 0xffffn);
const addressArb = familyArb.chain((family) => bitsOf(family).map((bits) => ({ family, bits })));

describe('parseAddress', () => {
  test.each([
    ['10.0.0.1', '10.0.0.1'],
    ['010.000.0.08', '10.0.0.8'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['FD00:0:0:1::A', 'fd00:0:0:1::a'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['1:0:0:2:3:0:0:4', '1::2:3:0:0:4'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['2001:db8::1.2.3.4', '2001:db8::102:304'],
    ['::ffff:1.2.3.4', '1.2.3.4'],
    ['::ffff:0102:0304', '1.2.3.4'],
    ['::1.2.3.4', '::1.2.3.4'],
  ])('%s is %s', (text, canonical) => {
    expect(parseAddress(text)).toBe(canonical);
  });

  test.each(
    [
      '',
      ' ',
      '10.0.0',
      '10.0.0.1.2',
      '10.0.0.256',
      '10.0.0.-1',
      '10.0.0.1 ',
      '10.0..1',
      '0x0a.0.0.1',
      'web',
      '10.0.0.1/8',
      ':',
      ':::',
      '1',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '1:2:3:4:5:6:7:8::',
      '1::2::3',
      ':1::',
      '1::2:',
      '12345::',
      'g::',
      '1.2.3.4::',
      '::1.2.3.4:5',
      '::1.2.3',
      'fe80::1%eth0',
      '[::1]',
      '1'.repeat(100_000),
      ':'.repeat(100_000),
      '.'.repeat(100_000),
    ].map((text) => [text.slice(0, 40), text]),
  )('"%s" is none', (_start, text = '') => {
    expect(parseAddress(text)).toBeUndefined();
  });

  test('reads what it writes, and writes one text for the same bits', () => {
    fc.assert(
      fc.property(addressArb, ({ family, bits }) => {
        const text = formatAddress(family, bits);
        expect(parseAddress(text)).toBe(text);
        expect(familyOf(text)).toBe(family);
        expect(addressBits(text)).toBe(bits);
        if (family === 'IPv6') {
          const long = bits.toString(16).padStart(32, '0').toUpperCase().match(/.{4}/g)?.join(':') ?? '';
          expect(parseAddress(long)).toBe(text);
        }
      }),
    );
  });

  test('never throws', () => {
    const texts = fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-f:./]{0,45}$/));
    fc.assert(
      fc.property(texts, (text) => {
        const address = parseAddress(text);
        if (address !== undefined) expect(parseAddress(address)).toBe(address);
        const cidr = parseCidr(text);
        if (cidr !== undefined) expect(parseCidr(formatCidr(cidr))).toEqual(cidr);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('parseCidr', () => {
  test.each([
    ['10.1.2.3/8', '10.0.0.0/8'],
    ['010.1.2.3/08', '10.0.0.0/8'],
    ['1.2.3.4/32', '1.2.3.4/32'],
    ['255.1.2.3/0', '0.0.0.0/0'],
    ['fd00:1:2:3::9/48', 'fd00:1:2::/48'],
    ['::1/128', '::1/128'],
    ['fd00::/0', '::/0'],
    ['::ffff:10.1.2.3/104', '10.0.0.0/8'],
    ['::ffff:0:0/96', '0.0.0.0/0'],
    ['::ffff:1.2.3.4/80', '::/80'],
  ])('%s is %s', (text, canonical) => {
    const cidr = parseCidr(text);
    expect(cidr && formatCidr(cidr)).toBe(canonical);
    expect(cidr?.family).toBe(familyOf(canonical));
  });

  test.each([
    '',
    '/',
    '10.0.0.1',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    '::/129',
    '/8',
    'fd00::/4 4',
    '10.0.0.0/+8',
  ])('%s is none', (text) => {
    expect(parseCidr(text)).toBeUndefined();
  });
});

describe('cidrContains', () => {
  test('is equality of the first bits', () => {
    const pairArb = familyArb.chain((family) =>
      fc.record({
        family: fc.constant(family),
        bits: bitsOf(family),
        prefix: fc.integer({ min: 0, max: addressWidth(family) }),
        flipped: fc.integer({ min: 0, max: addressWidth(family) - 1 }),
      }),
    );
    fc.assert(
      fc.property(pairArb, ({ family, bits, prefix, flipped }) => {
        const address = formatAddress(family, bits);
        const cidr = parseCidr(`${address}/${prefix}`);
        if (cidr === undefined) throw new Error('no CIDR');
        expect(cidrContains(cidr, address)).toBe(true);
        const otherBits = bits ^ (1n << BigInt(addressWidth(family) - 1 - flipped));
        const other = formatAddress(family, otherBits);
        expect(cidrContains(cidr, other)).toBe(flipped >= prefix);
      }),
    );
  });

  test('not across families', () => {
    const all = { family: 'IPv4', address: '0.0.0.0', prefix: 0 } as const;
    expect(cidrContains(all, '::1')).toBe(false);
  });
});

test('joinHostPort brackets IPv6', () => {
  expect(joinHostPort('10.0.0.1', 80)).toBe('10.0.0.1:80');
  expect(joinHostPort('fd00::1', 80)).toBe('[fd00::1]:80');
});

test.each([
  ['127.0.0.1', true],
  ['127.255.0.3', true],
  ['::1', true],
  ['128.0.0.1', false],
  ['12.7.0.1', false],
  ['::', false],
])('isLoopback %s: %s', (address, expected) => {
  expect(isLoopback(address)).toBe(expected);
});

test.each([
  ['fe80::1', true],
  ['febf::1', true],
  ['fec0::1', false],
  ['fe80:1::', true],
  ['fd00::fe80', false],
  ['169.254.20.10', false],
])('isLinkLocalIPv6 %s: %s', (address, expected) => {
  expect(isLinkLocalIPv6(address)).toBe(expected);
});

test.each([
  ['10.96.0.1', true],
  ['223.255.255.255', true],
  ['fd00::1', true],
  ['0.0.0.0', false],
  ['224.0.0.1', false],
  ['255.255.255.255', false],
  ['::', false],
  ['ff02::1', false],
])('isUnicast %s: %s', (address, expected) => {
  expect(isUnicast(address)).toBe(expected);
});
