import fc from 'fast-check';
import { isIn, planSources, printSpans, type Source } from '../../src/compare/sources';
import { addressBits, families, formatAddress, parseCidr } from '../../src/model/address';

const none = (): boolean => false;
const networks = {
  IPv4: ['10.0.0.0/8', '10.244.0.0/16', '192.0.2.0/24', '192.0.2.1/32', '203.0.113.128/25'],
  IPv6: ['fd00::/8', 'fd44::/16', '2001:db8::/32', '2001:db8::1/128', '2001:db8:8000::/33'],
} as const;

describe.each(families)('%s', (family) => {
  test('no network cuts a part, and someone of the part speaks for it', () => {
    fc.assert(
      fc.property(fc.subarray([...networks[family]]), (cidrs) => {
        const sources = planSources(family, { kind: 'none' }, cidrs, none);
        for (const { address, span } of sources) {
          if (span === undefined) throw new Error('a part without a span');
          const ends = [span.low, span.high].map((bits) => formatAddress(family, bits));
          expect(addressBits(address) >= span.low && addressBits(address) <= span.high).toBe(true);
          for (const cidr of cidrs) for (const end of ends) expect(isIn(cidr, end)).toBe(isIn(cidr, address));
        }
        // Loopback alone has nobody.
        for (const cidr of cidrs) expect(sources.some(({ address }) => isIn(cidr, address))).toBe(true);
      }),
    );
  });

  test('printed, the parts of a network are that network', () => {
    const cidrs = [...networks[family]];
    const sources = planSources(family, { kind: 'none' }, cidrs, none);
    for (const cidr of cidrs) {
      const within = sources.filter(({ address }) => isIn(cidr, address)).flatMap(({ span }) => span ?? []);
      expect(printSpans(within)).toEqual([cidr]);
      expect(parseCidr(cidr)).toBeDefined();
    }
  });
});

test.each([
  ['none', { kind: 'none' }, ['outside eth0']],
  ['interface', { kind: 'interface', name: 'cni0' }, ['pods cni0', 'outside eth0']],
  ['interface-prefix', { kind: 'interface-prefix', prefix: 'veth' }, ['pods veth0', 'outside eth0']],
] as const)('pods are told by the detector: %s', (_, detector, wanted) => {
  const print = ({ kind, device }: Source): string => `${kind} ${device}`;
  expect(new Set(planSources('IPv4', detector, [], none).map(print))).toEqual(new Set(wanted));
});

test('who is passed over speaks for nobody', () => {
  const [only] = planSources('IPv4', { kind: 'none' }, [], (one) => one === '192.0.2.1').map(({ address }) => address);
  expect(only).toBe('192.0.2.2');
  const alone = planSources('IPv4', { kind: 'none' }, ['192.0.2.1/32'], (one) => one === '192.0.2.1');
  expect(alone.map(({ address }) => address)).not.toContain('192.0.2.1');
});
