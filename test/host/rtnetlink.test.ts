import { decodeAddress, encodeAddressDump, encodeLink, writeHostAddress } from '../../src/host/rtnetlink';
import type { Family } from '../../src/model/address';

const address = (family: Family, text: string): string => {
  const message = Buffer.alloc(64, 0xff);
  return message.subarray(4, writeHostAddress(message, 4, text, { family, index: 6 })).toString('hex');
};

// As `ip address replace 10.96.0.10/32 dev kube-ipvs0` sends it: family, prefix, flags, scope, index; local, address.
test.each<[Family, string, string]>([
  ['IPv4', '10.96.0.10', '02200000 06000000 08000200 0a60000a 08000100 0a60000a'],
  [
    'IPv6',
    'fd96::10',
    '0a800200 06000000 14000200 fd960000000000000000000000000010 14000100 fd960000000000000000000000000010',
  ],
  [
    'IPv6',
    '::10.96.0.10',
    '0a800200 06000000 14000200 0000000000000000000000000a60000a 14000100 0000000000000000000000000a60000a',
  ],
])('%s: a host address of a link', (family, text, bytes) => {
  expect(address(family, text)).toBe(bytes.replaceAll(' ', ''));
  const message = Buffer.from(bytes.replaceAll(' ', ''), 'hex');
  expect(decodeAddress(message)).toEqual({ address: text, family, prefix: family === 'IPv4' ? 32 : 128 });
});

test('a dump is of a family and a link', () => {
  expect(encodeAddressDump('IPv6', 0x01020304).toString('hex')).toBe('0a00000004030201');
});

test('a link is named, and its kind is told where it is made', () => {
  const header = '00'.repeat(16);
  const name = '0f000300 6b7562652d69707673300000';
  expect(encodeLink('kube-ipvs0').toString('hex')).toBe(header + name.replaceAll(' ', ''));
  const info = '10001280 09000100 64756d6d79000000';
  expect(encodeLink('kube-ipvs0', 'dummy').toString('hex')).toBe(header + (name + info).replaceAll(' ', ''));
});

test('on a point-to-point link the address is the local one', () => {
  const message = Buffer.from('0220800006000000080001000a010002080002000a010001', 'hex');
  expect(decodeAddress(message)?.address).toBe('10.1.0.1');
});

test('an address of another family is none', () => {
  expect(decodeAddress(Buffer.from('2c20800006000000080001000a010002', 'hex'))).toBeUndefined();
});
