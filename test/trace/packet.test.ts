import fc from 'fast-check';
import { type Ended, mergeOutcomes, type PacketState, startPacket } from '../../src/trace/packet';

const vip = '10.96.0.10';
const start = startPacket({ protocol: 'tcp', destination: vip, port: 80, device: 'eth0' }, 'IPv4', '192.0.2.1');
const node = {
  isLocal: (address: string): boolean => address === '192.168.88.10',
  deviceTo: (): string => 'eth0',
  sourceTo: (): string => '192.168.88.10',
};

function end(verdict: Ended['verdict'], change: Partial<PacketState> = {}): Ended {
  return { verdict, packet: { ...start, ...change } };
}

test.each<[kind: string, end: Ended]>([
  ['forwarded', end('accept', { isDnated: true, destination: '10.244.1.2' })],
  // An endpoint in the network of the node.
  ['forwarded', end('accept', { isDnated: true, destination: '192.168.88.10' })],
  ['untouched', end('accept')],
  ['local', end('accept', { destination: '192.168.88.10' })],
  ['refused', end('reject', { isDnated: true })],
  ['dropped', end('drop')],
  ['unknown', end('unknown')],
])('%s', (kind, one) => {
  expect(mergeOutcomes([one], node)).toMatchObject([{ kind, address: one.packet.destination, port: 80 }]);
});

test('ways with the same outcome are one, with the rules of the first', () => {
  const rule = (text: string): PacketState['trail'] => ({
    rule: { table: 'nat', chain: 'A', text },
    before: { rule: { table: 'nat', chain: 'A', text: 'before' }, before: undefined },
  });
  const merged = mergeOutcomes(
    [
      end('accept', { probability: 0.3, rulesWalked: 2, trail: rule('one') }),
      end('accept', { probability: 0.2, rulesWalked: 5, trail: rule('two') }),
      end('drop', { probability: 0.5 }),
    ],
    node,
  );
  expect(merged).toHaveLength(2);
  expect(merged[0]).toMatchObject({ kind: 'untouched', probability: 0.5, rulesWalked: 5 });
  expect(merged[0]?.rules.map(({ text }) => text)).toEqual(['before', 'one']);
});

const endArb = fc
  .record({
    verdict: fc.constantFrom('accept', 'drop', 'reject'),
    destination: fc.constantFrom(vip, '10.244.1.2', '10.244.1.3'),
    source: fc.constantFrom('192.0.2.1', '192.168.88.10'),
    isDnated: fc.boolean(),
    recent: fc.constantFrom(['a', 'b'], ['b', 'a'], ['a']).map((lists) => new Set(lists)),
    probability: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ verdict, ...packet }) => end(verdict, packet));

test('merging keeps the sum of the probabilities, and the most probable outcome is first', () => {
  fc.assert(
    fc.property(fc.array(endArb, { maxLength: 20 }), (ends) => {
      const merged = mergeOutcomes(ends, node);
      const shares = merged.map(({ probability }) => probability);
      const sum = (list: readonly number[]): number => list.reduce((total, one) => total + one, 0);
      expect(sum(shares)).toBeCloseTo(sum(ends.map(({ packet }) => packet.probability)), 6);
      expect(shares).toEqual(shares.toSorted((a, b) => b - a));
      const texts = merged.map(({ kind, address, source, recent }) => [kind, address, source, ...[...recent].sort()]);
      expect(new Set(texts.map(String)).size).toBe(merged.length);
    }),
  );
});
