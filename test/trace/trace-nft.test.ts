import { parseNftTable, type Json } from '../../src/trace/nft-ruleset';
import type { Outcome } from '../../src/trace/packet';
import { traceNftConnection } from '../../src/trace/trace-nft';

const family = 'ip';
const table = 'kube-proxy';
const node = {
  isLocal: (address: string): boolean => address === '192.168.88.10',
  deviceTo: (): string => 'eth0',
  sourceTo: (): string => '192.168.88.10',
};
const daddr = { payload: { protocol: 'ip', field: 'daddr' } };
const saddr = { payload: { protocol: 'ip', field: 'saddr' } };

function trace(...rules: readonly (readonly Json[])[]): Outcome[] {
  const chain = { family, table, name: 'nat', hook: 'prerouting', prio: -100 };
  const nftables = [
    { table: { family, name: table } },
    { chain },
    { chain: { family, table, name: 'next' } },
    { map: { family, table, name: 'vips', map: 'verdict', elem: [['10.96.0.10', { jump: { target: 'next' } }]] } },
    { set: { family, table, name: 'seen', flags: ['timeout'], timeout: 600 } },
    ...rules.map((expr) => ({ rule: { family, table, chain: 'nat', expr } })),
  ];
  const parsed = parseNftTable(JSON.stringify({ nftables }), family, table);
  if (parsed === undefined) throw new Error('there is a table');
  return traceNftConnection(parsed, node, {
    protocol: 'tcp',
    source: '192.0.2.1',
    destination: '10.96.0.10',
    port: 80,
    device: 'eth0',
  });
}

const dnat = (address: string): Json => ({ dnat: { addr: address, port: 8080 } });

test('dice that the map has no element for go on to the next rule', () => {
  const data = { set: [[0, { concat: ['10.244.1.2', 8080] }]] };
  const map = { key: { numgen: { mode: 'random', mod: 4, offset: 0 } }, data };
  expect(trace([{ dnat: { addr: { map } } }]).map(({ kind, probability }) => [kind, probability])).toEqual([
    ['untouched', 0.75],
    ['forwarded', 0.25],
  ]);
});

test('what it does not know it says, where a packet comes to it', () => {
  const unknown = { match: { op: '==', left: { meta: { key: 'skuid' } }, right: 0 } };
  expect(trace([unknown, dnat('10.244.1.2')])).toMatchObject([{ kind: 'unknown' }]);
  const other = { match: { op: '==', left: daddr, right: '10.96.0.11' } };
  expect(trace([other, unknown, dnat('10.244.1.2')])).toMatchObject([{ kind: 'untouched' }]);
});

test('a jump comes back, a drop does not', () => {
  const jump = { vmap: { key: daddr, data: '@vips' } };
  expect(trace([jump], [dnat('10.244.1.3')])).toMatchObject([{ kind: 'forwarded', address: '10.244.1.3' }]);
  expect(trace([{ drop: null }], [dnat('10.244.1.3')])).toMatchObject([{ kind: 'dropped' }]);
});

test('a set that packets add to remembers, whatever is in it now', () => {
  const seen = { match: { op: '==', left: saddr, right: '@seen' } };
  const update = { set: { op: 'update', elem: saddr, set: '@seen' } };
  const [first] = trace([seen, { drop: null }], [update, dnat('10.244.1.2')]);
  expect(first).toMatchObject({ kind: 'forwarded', recent: new Set(['seen']), rememberedSeconds: 0 });
});

test.each(['', '{}', '[]'])('not the JSON of nft: %s', (text) => {
  expect(() => parseNftTable(text, family, table)).toThrow('not the JSON of nft');
});
