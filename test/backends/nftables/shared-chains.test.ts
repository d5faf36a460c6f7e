import { printRule } from '../../../src/backends/nftables/print';
import {
  type Balance,
  readBalances,
  renderSharedChain,
  type SharedChain,
  sharedChainName,
} from '../../../src/backends/nftables/shared-chains';
import type { LocalDetector } from '../../../src/model/local-detector';

const cidr: LocalDetector = { kind: 'cidr', cidr: '10.244.0.0/16' };

function printed(chain: SharedChain, localDetector: LocalDetector = cidr): readonly string[] {
  const settings = { family: 'IPv4', masqueradeMark: 0x4000, localDetector } as const;
  return renderSharedChain(chain, settings).map((rule) => printRule(rule, 'IPv4'));
}

const random = (slots: number): Balance => ({ by: 'random', slots });
const pick = { kind: 'pick', isNodePort: false, masquerade: 'never', balance: random(3) } as const;
const vip = 'ip daddr . meta l4proto . th dport';

test('endpoints are picked by number, and sources that must be masqueraded are marked before', () => {
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

test('endpoints are picked in turn, or by a hash of the source', () => {
  const slot = (balance: Balance): string | undefined =>
    /numgen.* map|jhash.* map/.exec(printed({ ...pick, balance })[0] ?? '')?.[0];
  expect(slot({ by: 'inc', slots: 3 })).toBe('numgen inc mod 3 map');
  expect(slot({ by: 'hash', slots: 251 })).toBe('jhash ip saddr mod 251 seed 0x76697077 map');
});

test('NodePorts have maps without an address', () => {
  expect(printed({ ...pick, isNodePort: true })).toEqual([
    'dnat to meta l4proto . th dport . numgen random mod 3 map @vipwire-node-port-endpoints',
  ]);
});

test('under policy Local the clients of this node reach every endpoint, and others only those of this node', () => {
  const local = { kind: 'local', isNodePort: false, balance: random(3), localBalance: random(2) } as const;
  const own = [
    'ip saddr 10.244.0.0/16 goto vipwire-pick-3',
    'fib saddr type local mark set mark or 0x4000 goto vipwire-pick-3',
  ];
  expect(printed(local)).toEqual([...own, `dnat to ${vip} . numgen random mod 2 map @vipwire-local-endpoints`]);
  expect(printed({ kind: 'local', isNodePort: false, balance: random(3) })).toEqual(own);
});

const balances: readonly Balance[] = [random(1), random(12), { by: 'inc', slots: 2 }, { by: 'hash', slots: 251 }];
const every = [true, false].flatMap((isNodePort): SharedChain[] =>
  ['', 'tcp . 30080', '10.96.0.10 . tcp . 80', 'fd00::a . udp . 53'].flatMap((owner) => {
    const any = { isNodePort, ...(owner !== '' && { owner }) };
    return balances.flatMap((balance): SharedChain[] => [
      ...(['never', 'always', 'not-local-pods'] as const).map(
        (masquerade): SharedChain => ({ kind: 'pick', ...any, masquerade, balance }),
      ),
      { kind: 'local', ...any, balance },
      ...balances.map((localBalance): SharedChain => ({ kind: 'local', ...any, balance, localBalance })),
    ]);
  }),
);

test('no two chains have one name, and none has a slash', () => {
  const names = every.map(sharedChainName);
  expect(new Set(names).size).toBe(every.length);
  expect(names.filter((name) => name.includes('/') || !name.startsWith('vipwire-'))).toEqual([]);
});

test('a name tells how many slots the chain picks from', () => {
  for (const chain of every) {
    const local = chain.kind === 'local' ? chain.localBalance : undefined;
    expect([sharedChainName(chain), readBalances(sharedChainName(chain))]).toEqual([
      sharedChainName(chain),
      { main: chain.balance, ...(local && { local }) },
    ]);
  }
  for (const other of ['vipwire-refuse', 'vipwire-ranges-10.0.0.1-tcp-80', 'service-ABC-default/web/tcp/'])
    expect(readBalances(other)).toBeUndefined();
});
