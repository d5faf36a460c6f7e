import type { Json } from '../../src/trace/nft-json';
import { note } from '../../src/trace/nft-memory';
import { parseNftTable } from '../../src/trace/nft-ruleset';
import { NftValues, UnknownNft } from '../../src/trace/nft-values';
import { type PacketState, startPacket } from '../../src/trace/packet';

const head = { family: 'ip', table: 'kube-proxy' } as const;
const end = (index: number, address: string): Json => [{ concat: ['10.96.0.10', index] }, address];
const table = parseNftTable(
  JSON.stringify({
    nftables: [
      { table: { family: 'ip', name: 'kube-proxy' } },
      { set: { ...head, name: 'pods', elem: [{ prefix: { addr: '10.244.0.0', len: 16 } }] } },
      { set: { ...head, name: 'seen', flags: ['timeout'], timeout: 600 } },
      { map: { ...head, name: 'ends', map: 'ipv4_addr', elem: [end(0, 'a'), end(1, 'b'), end(2, 'a')] } },
      { map: { ...head, name: 'ports', map: 'mark', elem: [[{ range: [30_000, 32_767] }, 7]] } },
    ],
  }),
  head.family,
  head.table,
);
const sources: string[] = [];
const node = {
  isLocal: (address: string): boolean => address === '192.168.88.10',
  deviceTo: (): string => 'eth0',
  sourceTo: (): string => '192.168.88.10',
};
if (table === undefined) throw new Error('there is a table');
const values = new NftValues(table, { node, onSource: (cidr) => sources.push(cidr) });

const connection = { protocol: 'tcp', destination: '10.96.0.10', port: 80, device: 'eth0' } as const;
const packet: PacketState = { ...startPacket(connection, 'IPv4', '10.244.1.4'), mark: 0x4001 };

const payload = (protocol: string, field: string): Json => ({ payload: { protocol, field } });
const meta = (key: string): Json => ({ meta: { key } });
const destination = payload('ip', 'daddr');
const numgen = (fields: Record<string, Json>): Json => ({ numgen: { mode: 'random', mod: 2, ...fields } });

test.each<[json: Json, value: string]>([
  ['a text', 'a text'],
  [80, '80'],
  [payload('ip', 'saddr'), '10.244.1.4'],
  [destination, '10.96.0.10'],
  [payload('tcp', 'dport'), '80'],
  [payload('th', 'dport'), '80'],
  [meta('l4proto'), 'tcp'],
  [meta('mark'), '16385'],
  [meta('priority'), 'none'],
  [meta('iifname'), 'eth0'],
  [meta('oifname'), ''],
  [{ ct: { key: 'state' } }, 'new'],
  [{ ct: { key: 'status' } }, ''],
  [{ fib: { result: 'type', flags: ['daddr'] } }, 'unicast'],
  [{ concat: [destination, meta('l4proto'), 80] }, '10.96.0.10 . tcp . 80'],
  [{ '&': [meta('mark'), 0x4000] }, '16384'],
  [{ '|': [meta('mark'), 0x8000_0000] }, String(0x8000_4001)],
  [{ '^': [meta('mark'), 0x4000] }, '1'],
])('%j is %s', (json, value) => {
  expect(values.one(json, packet)).toBe(value);
});

test.each<[json: Json]>([
  [payload('udp', 'dport')],
  [payload('ip', 'ttl')],
  [meta('cpu')],
  [{ ct: { key: 'zone' } }],
  [{ fib: { result: 'oif', flags: ['daddr'] } }],
  [{ fib: { result: 'type', flags: ['daddr', 'iif'] } }],
  [numgen({ mode: 'other' })],
  [numgen({ mod: 0 })],
  // It has several values.
  [numgen({})],
  [{ symhash: { mod: 2 } }],
])('%j has no single value that is known', (json) => {
  expect(() => values.one(json, packet)).toThrow(UnknownNft);
});

test.each([
  ['random', false],
  ['inc', false],
] as const)('numgen %s: each number is as probable', (mode, isByClient) => {
  expect(values.evaluate(numgen({ mode, mod: 4, offset: 3 }), packet)).toEqual(
    ['3', '4', '5', '6'].map((value) => ({ value, probability: 0.25, isByClient })),
  );
});

test('a hash is decided by the client, and what is made of it too', () => {
  const hash = { jhash: { expr: payload('ip', 'saddr'), mod: 2 } };
  expect(values.evaluate({ concat: [destination, hash] }, packet)).toEqual([
    { value: '10.96.0.10 . 0', probability: 0.5, isByClient: true },
    { value: '10.96.0.10 . 1', probability: 0.5, isByClient: true },
  ]);
});

test('elements of a map with the same value are one way, and what has no element is a way of its own', () => {
  const key = { concat: [destination, numgen({ mod: 4 })] };
  const ways = values.lookup({ key, data: '@ends' }, packet);
  expect(ways.map(({ element, probability, elements }) => [element?.value, probability, elements])).toEqual([
    ['a', 0.5, 2],
    ['b', 0.25, 1],
    [undefined, 0.25, 1],
  ]);
  const chances = values.evaluate({ map: { key, data: '@ends' } }, packet);
  expect(chances.map(({ value }) => value)).toEqual(['a', 'b']);
});

test('a range of ports', () => {
  const valueOf = (port: number): Json | undefined =>
    values.lookup({ key: payload('th', 'dport'), data: '@ports' }, { ...packet, port })[0]?.element?.value;
  expect([29_999, 30_000, 32_767, 32_768].map(valueOf)).toEqual([undefined, 7, 7, undefined]);
});

const prefix = (addr: Json, len: number): Json => ({ prefix: { addr, len } });

test.each<[left: Json, right: Json, isEqual: boolean]>([
  [destination, '10.96.0.10', true],
  [destination, '10.96.0.11', false],
  [destination, prefix('10.96.0.0', 16), true],
  [destination, prefix('10.97.0.0', 16), false],
  [destination, '@pods', false],
  [payload('ip', 'saddr'), '@pods', true],
  [meta('l4proto'), { set: ['tcp', 'udp'] }, true],
  [meta('l4proto'), { set: ['sctp'] }, false],
  [{ ct: { key: 'state' } }, ['new', 'related'], true],
  [meta('iifname'), 'eth*', true],
  [meta('iifname'), 'cali*', false],
  // The highest bits of a mark.
  [meta('mark'), prefix(0x4000, 18), true],
  [meta('mark'), prefix(0x8000, 18), false],
])('%j == %j: %s', (left, right, isEqual) => {
  expect(values.matches({ op: '==', left, right }, packet)).toBe(isEqual);
  expect(values.matches({ op: '!=', left, right }, packet)).toBe(!isEqual);
});

test('other comparisons and sets that are not there are not understood', () => {
  expect(() => values.matches({ op: '<', left: meta('mark'), right: 7 }, packet)).toThrow(UnknownNft);
  expect(() => values.matches({ op: '==', left: destination, right: '@gone' }, packet)).toThrow(UnknownNft);
});

test('every network that a source is compared with is told', () => {
  sources.length = 0;
  values.matches({ op: '==', left: payload('ip', 'saddr'), right: '@pods' }, packet);
  values.matches({ op: '==', left: payload('ip', 'saddr'), right: prefix('192.0.2.0', 24) }, packet);
  values.matches({ op: '==', left: destination, right: '@pods' }, packet);
  expect(sources).toEqual(['10.244.0.0/16', '192.0.2.0/24']);
});

test('a set that packets add to has what was noted about the client', () => {
  const match = { op: '==', left: payload('ip', 'saddr'), right: '@seen' };
  expect(values.matches(match, packet)).toBe(false);
  const recent = note(packet.recent, '@seen', '10.244.1.4', { value: '', seconds: 600 });
  expect(values.matches(match, { ...packet, recent })).toBe(true);
  expect(values.notedBy(match, { ...packet, recent })).toEqual({ value: '', seconds: 600 });
  expect(values.notedBy({ ...match, right: '@pods' }, { ...packet, recent })).toBeUndefined();
});
