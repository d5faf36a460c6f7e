import type { Json } from '../../src/trace/nft-json';
import { parseNftTable } from '../../src/trace/nft-ruleset';
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

const client = '192.0.2.1';

function trace(...rules: readonly (readonly Json[])[]): Outcome[] {
  return traceAgain(new Set(), ...rules);
}

function traceAgain(recent: ReadonlySet<string>, ...rules: readonly (readonly Json[])[]): Outcome[] {
  const chain = { family, table, name: 'nat', hook: 'prerouting', prio: -100 };
  const nftables = [
    { table: { family, name: table } },
    { chain },
    { chain: { family, table, name: 'next' } },
    { map: { family, table, name: 'vips', map: 'verdict', elem: [['10.96.0.10', { jump: { target: 'next' } }]] } },
    { map: { family, table, name: 'ends', map: 'ipv4_addr . inet_service', elem: endElements } },
    { map: { family, table, name: 'affinity', map: 'classid', flags: ['timeout'] } },
    { set: { family, table, name: 'seen', flags: ['timeout'], timeout: 600 } },
    ...rules.map((expr) => ({ rule: { family, table, chain: 'nat', expr } })),
  ];
  const parsed = parseNftTable(JSON.stringify({ nftables }), family, table);
  if (parsed === undefined) throw new Error('there is a table');
  return traceNftConnection(parsed, node, {
    protocol: 'tcp',
    source: client,
    recent,
    destination: '10.96.0.10',
    port: 80,
    device: 'eth0',
  });
}

const endElements = ['10.244.1.2', '10.244.1.3', '10.244.1.3', '10.244.1.4'].map((address, i) => [
  { concat: ['10.96.0.10', 'tcp', 80, i] },
  { concat: [address, 8080] },
]);
const pick = (number: Json): Json => ({
  dnat: { addr: { map: { key: { concat: [daddr, { meta: { key: 'l4proto' } }, dport, number] }, data: '@ends' } } },
});
const dport = { payload: { protocol: 'th', field: 'dport' } };
const mark = { meta: { key: 'mark' } };
const priority = { meta: { key: 'priority' } };

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
  const range = { match: { op: '==', left: dport, right: { range: [1, 99] } } };
  for (const one of [unknown, range, 'a text', { limit: {} }, { map: { op: 'update', elem: saddr, map: '@vips' } }])
    expect(trace([one, dnat('10.244.1.2')])).toMatchObject([{ kind: 'unknown' }]);
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
  expect(first).toMatchObject({
    kind: 'forwarded',
    recent: new Set(['@seen 192.0.2.1 timeout 600s : ']),
    rememberedSeconds: 0,
  });
});

test.each([
  ['by chance', { numgen: { mode: 'random', mod: 4, offset: 0 } }],
  ['in turn', { numgen: { mode: 'inc', mod: 4, offset: 0 } }],
])('%s: an endpoint with two of four numbers gets half, and the rule and the elements are named', (_, number) => {
  const outcomes = trace([pick(number)]);
  expect(outcomes.map(({ address, probability, recent }) => [address, probability, recent.size])).toEqual([
    ['10.244.1.3', 0.5, 0],
    ['10.244.1.2', 0.25, 0],
    ['10.244.1.4', 0.25, 0],
  ]);
  expect(outcomes[0]?.rules.map(({ chain, text }) => `${chain}: ${text}`)).toEqual([
    expect.stringMatching(/^nat: dnat to ip daddr . meta l4proto . th dport . numgen \w+ mod 4 map @ends$/),
    'map ends: 10.96.0.10 . tcp . 80 . 1 : 10.244.1.3 . 8080 (and 1 more)',
  ]);
});

test('by a hash: the next connection of the client goes to the same endpoint, as long as it is there', () => {
  const rule = [pick({ jhash: { mod: 4, seed: 7, expr: saddr } })];
  const first = trace(rule);
  expect(first.map(({ address, probability }) => [address, probability])).toEqual([
    ['10.244.1.3', 0.5],
    ['10.244.1.2', 0.25],
    ['10.244.1.4', 0.25],
  ]);
  for (const { address, recent } of first)
    expect(traceAgain(recent, rule)).toMatchObject([{ address, probability: 1, rememberedSeconds: Infinity }]);
  expect(traceAgain(first[0]?.recent ?? new Set(), [pick({ jhash: { mod: 1, seed: 7, expr: saddr } })])).toMatchObject([
    { address: '10.244.1.2' },
  ]);
});

test('what a map remembers of a client: noted once, kept, and forgotten', () => {
  const owner = '8c1f:23d0';
  const recall = { mangle: { key: priority, value: { map: { key: { concat: [saddr, owner] }, data: '@affinity' } } } };
  const set = (value: string): Json => ({ mangle: { key: priority, value } });
  const is = (value: string): Json => ({ match: { op: '==', left: priority, right: value } });
  const update = `update @affinity { ip saddr . ${owner} timeout 3h : meta priority }`;
  const rules = [[recall], [is('none'), set('0:7')], [update], [is('0:7'), dnat('10.244.1.7')]];
  const [first] = trace(...rules);
  expect(first).toMatchObject({ address: '10.244.1.7', rememberedSeconds: 0 });
  const recent = first?.recent ?? new Set<string>();
  expect(traceAgain(recent, [recall], [set('0:8')], [update], [recall], [is('0:7'), dnat('10.244.1.7')])).toMatchObject(
    [{ address: '10.244.1.7', rememberedSeconds: 10_800 }],
  );
  const forget = `delete @affinity { ip saddr . ${owner} : meta priority }`;
  expect(traceAgain(recent, [recall], [forget], [dnat('10.244.1.9')])).toMatchObject([
    { address: '10.244.1.9', rememberedSeconds: 0, recent: new Set() },
  ]);
});

test.each([
  ['the highest bit', 0x80000000, { match: { op: '!=', left: mark, right: { prefix: { addr: 0, len: 1 } } } }],
  ['another bit', 0x4000, { match: { op: '!=', left: { '&': [mark, 0x4000] }, right: 0 } }],
])('%s of the mark', (_, bit, test) => {
  const set = { mangle: { key: mark, value: { '|': [mark, bit] } } };
  const clear = { mangle: { key: mark, value: { '^': [mark, bit] } } };
  expect(trace([set], [test, { drop: null }])).toMatchObject([{ kind: 'dropped' }]);
  expect(trace([test, { drop: null }])).toMatchObject([{ kind: 'untouched' }]);
  expect(trace([set], [clear], [test, { drop: null }])).toMatchObject([{ kind: 'untouched' }]);
});

test('a chain is named before those that it jumps to, and a rule whose map has nothing is not named', () => {
  const jump = { vmap: { key: daddr, data: '@vips' } };
  const nothing = { vmap: { key: saddr, data: '@vips' } };
  const [outcome] = trace([nothing], [jump], [dnat('10.244.1.3')]);
  expect(outcome?.rules.map(({ chain, text }) => `${chain}: ${text}`)).toEqual([
    'nat: ip daddr vmap @vips',
    'map vips: 10.96.0.10 : jump next',
    'nat: dnat to 10.244.1.3:8080',
  ]);
});

test.each(['', '{}', '[]'])('not the JSON of nft: %s', (text) => {
  expect(() => parseNftTable(text, family, table)).toThrow('not the JSON of nft');
});
