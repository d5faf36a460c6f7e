import { IptablesBackend } from '../../src/backends/iptables/backend';
import { printListing } from '../../src/backends/iptables/print';
import { FakeIptables } from '../support/fake-iptables';
import { plan } from '../support/plans';
import type { Connection } from '../../src/trace/packet';
import { traceConnection } from '../../src/trace/trace-iptables';
import { TracedNode } from '../support/trace-iptables-node';
import { parseTables } from '../../src/trace/iptables-tables';
import { iptablesSettings } from '../support/settings';

const node = new TracedNode(`\
addr add 192.168.88.10/24 dev eth0
addr add 10.244.1.1/32 dev vetha
route add 10.244.1.2/32 dev vetha
route add default via 192.168.88.1`);
const fromOutside = { protocol: 'tcp', source: '192.168.88.100', device: 'eth0' } as const;
const web: Connection = { ...fromOutside, destination: '10.96.0.10', port: 80 };

function natRules(...rules: readonly string[]): string {
  const chains = new Set(rules.flatMap((rule) => /^-A (KUBE-\S+)/.exec(rule)?.[1] ?? []));
  return ['*nat', ...[...chains].map((chain) => `:${chain} - [0:0]`), ...rules, 'COMMIT'].join('\n');
}

const destinations = (text: string, over: Partial<Connection> = {}): [string, number][] =>
  traceConnection(parseTables(text), node, { ...web, ...over }).map(({ address, probability }) => [
    address,
    probability,
  ]);

test.each([
  ['a match', '-A PREROUTING -m owner --uid-owner 0 -j RETURN'],
  ['an option', '-A PREROUTING -p tcp --sport 80 -j RETURN'],
  ['a negated option', '-A PREROUTING -m recent ! --update --name x -j RETURN'],
  ['a target', '-A PREROUTING -j REDIRECT --to-ports 80'],
  ['a chain', '-A PREROUTING -j KUBE-NOWHERE'],
  ['a command', '-D PREROUTING -j RETURN'],
  ['a state', '-A PREROUTING -m conntrack --ctstate SNAT -j RETURN'],
  ['an address type', '-A PREROUTING -m addrtype --dst-type BROADCAST -j RETURN'],
  ['a range of destinations', '-A PREROUTING -j DNAT --to-destination 10.0.0.1-10.0.0.9'],
])('%s that it does not know is an error', (_, rule) => {
  expect(() => parseTables(natRules(rule))).toThrow(/^the tracer does not know/);
});

test('rules of other tables are an error, their empty chains are not', () => {
  expect(() => parseTables('*raw\n:PREROUTING ACCEPT [0:0]\nCOMMIT')).not.toThrow();
  expect(() => parseTables('*raw\n-A PREROUTING -j ACCEPT\nCOMMIT')).toThrow('this table');
});

test('BPF that it does not know is an error when a packet meets it', () => {
  const of = (program: string): string => natRules(`-A PREROUTING -m bpf --bytecode "${program}" -j RETURN`);
  expect(() => destinations(of('2,48 0 0 9,6 0 0 0'))).toThrow('BPF instruction 48');
  expect(() => destinations(of('1,32 0 0 12'))).toThrow('does not return');
  expect(() => destinations(of('2,6 0 0 0'))).toThrow('2 instructions');
});

test('dice, returns and marks', () => {
  const text = natRules(
    '-A PREROUTING -j KUBE-A',
    '-A PREROUTING -m mark --mark 0x4/0x4 -j DNAT --to-destination 10.244.1.2:1',
    '-A PREROUTING -j DNAT --to-destination 10.244.1.3:2',
    '-A KUBE-A -m statistic --mode random --probability 0.25000000000 -j RETURN',
    '-A KUBE-A -j MARK --set-xmark 0x6/0xffffffff',
    '-A KUBE-A -j MARK --set-xmark 0x2/0x0',
  );
  expect(destinations(text)).toEqual([
    ['10.244.1.2', 0.75],
    ['10.244.1.3', 0.25],
  ]);
});

test('a jump inserted with -I is met first', () => {
  const first = '-I PREROUTING -j DNAT --to-destination 10.244.1.2:1';
  expect(destinations(natRules('-A PREROUTING -j RETURN', first))).toEqual([['10.244.1.2', 1]]);
});

test('a client is remembered by the dice that chose for it', () => {
  const recent = '--name L --mask 255.255.255.255 --rsource';
  const text = natRules(
    `-A PREROUTING -m recent --update --seconds 9 --reap ${recent} -j DNAT --to-destination 10.244.1.2:1`,
    `-A PREROUTING -m statistic --mode random --probability 0.5 -m recent --set ${recent} -j DNAT --to-destination 10.244.1.2:1`,
    '-A PREROUTING -j DNAT --to-destination 10.244.1.3:2',
  );
  const outcomes = traceConnection(parseTables(text), node, web);
  expect(outcomes.map(({ address, recent }) => [address, [...recent]])).toEqual([
    ['10.244.1.2', ['L']],
    ['10.244.1.3', []],
  ]);
  expect(destinations(text, { recent: new Set(['L']) })).toEqual([['10.244.1.2', 1]]);
});

describe("the backend's rules without Services", () => {
  const backend = new IptablesBackend('IPv4', iptablesSettings, new FakeIptables());
  const empty = plan('IPv4', []);
  backend.render(empty);
  const tables = parseTables(printListing(backend.rules, empty));
  const trace = (connection: Connection): unknown => traceConnection(tables, node, connection);

  test('nobody outside reaches 127.0.0.0/8', () => {
    expect(trace({ ...fromOutside, destination: '127.0.0.1', port: 22 })).toMatchObject([{ kind: 'dropped' }]);
    expect(trace({ protocol: 'tcp', destination: '127.0.0.5', port: 22, device: '' })).toMatchObject([
      { kind: 'local', source: '127.0.0.1' },
    ]);
  });

  test('who talks to itself without a VIP keeps its address', () => {
    const marked = { protocol: 'tcp', source: '10.244.1.2', destination: '10.244.1.2', port: 22 } as const;
    expect(trace({ ...marked, device: 'vetha' })).toMatchObject([{ kind: 'untouched', source: '10.244.1.2' }]);
    expect(trace({ protocol: 'tcp', destination: '192.168.88.10', port: 22, device: '' })).toMatchObject([
      { kind: 'local', source: '192.168.88.10', isMasqueraded: false },
    ]);
  });

  test('policies are those of the tables', () => {
    const strict = parseTables('*filter\n:FORWARD DROP [0:0]\nCOMMIT');
    expect(traceConnection(strict, node, web)).toMatchObject([{ kind: 'dropped' }]);
  });
});
