import { printRule } from '../../../src/backends/nftables/print';
import { renderSharedChain, type SharedChain, sharedChainName } from '../../../src/backends/nftables/shared-chains';
import type { LocalDetector } from '../../../src/model/local-detector';

const cidr: LocalDetector = { kind: 'cidr', cidr: '10.244.0.0/16' };

function printed(chain: SharedChain, localDetector: LocalDetector = cidr): readonly string[] {
  const settings = { family: 'IPv4', masqueradeMark: 0x4000, localDetector } as const;
  return renderSharedChain(chain, settings).map((rule) => printRule(rule, 'IPv4'));
}

const pick = { kind: 'pick', isNodePort: false, masquerade: 'never', endpoints: 3 } as const;
const vip = 'ip daddr . meta l4proto . th dport';

test('endpoints are picked by number, and the sources that need it are marked before', () => {
  const dnat = `dnat to ${vip} . numgen random mod 3 map @vipwire-endpoints`;
  expect(printed(pick)).toEqual([dnat]);
  expect(printed({ ...pick, masquerade: 'always' })).toEqual(['mark set mark or 0x4000', dnat]);
  const others = { ...pick, masquerade: 'not-local-pods' } as const;
  expect(printed(others)).toEqual(['ip saddr != 10.244.0.0/16 mark set mark or 0x4000', dnat]);
  expect(printed(others, { kind: 'interface', name: 'cbr0' })[0]).toBe('iifname != "cbr0" mark set mark or 0x4000');
  expect(printed(others, { kind: 'interface-prefix', prefix: 'veth' })[0]).toBe(
    'iifname != "veth*" mark set mark or 0x4000',
  );
  expect(printed(others, { kind: 'none' })).toEqual([dnat]);
});

test('NodePorts have maps without an address', () => {
  expect(printed({ ...pick, isNodePort: true })).toEqual([
    'dnat to meta l4proto . th dport . numgen random mod 3 map @vipwire-node-port-endpoints',
  ]);
});

test('under policy Local the clients of this node reach every endpoint, and others those that are here', () => {
  const local = { kind: 'local', isNodePort: false, endpoints: 3, localEndpoints: 2 } as const;
  const own = [
    'ip saddr 10.244.0.0/16 goto vipwire-pick-3',
    'fib saddr type local mark set mark or 0x4000 goto vipwire-pick-3',
  ];
  expect(printed(local)).toEqual([...own, `dnat to ${vip} . numgen random mod 2 map @vipwire-local-endpoints`]);
  expect(printed({ ...local, localEndpoints: 0 })).toEqual(own);
});

test('no two chains have one name, and none has a slash', () => {
  const chains = [true, false].flatMap((isNodePort): SharedChain[] => [
    ...(['never', 'always', 'not-local-pods'] as const).flatMap((masquerade) =>
      [1, 12].map((endpoints): SharedChain => ({ kind: 'pick', isNodePort, masquerade, endpoints })),
    ),
    ...[
      [1, 12],
      [11, 2],
    ].map(
      ([endpoints = 0, localEndpoints = 0]): SharedChain => ({ kind: 'local', isNodePort, endpoints, localEndpoints }),
    ),
  ]);
  const names = chains.map(sharedChainName);
  expect(new Set(names).size).toBe(chains.length);
  expect(names.filter((name) => name.includes('/') || !name.startsWith('vipwire-'))).toEqual([]);
});
