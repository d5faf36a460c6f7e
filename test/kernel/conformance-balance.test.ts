import { service, slice } from '../conformance/objects';
import { ProxiedCluster } from '../conformance/proxied-cluster';
import { hostWays } from '../support/host-ways';
import { vipwire } from '../support/lab/proxied-node';
import { crowd } from '../support/lab/topology';
import { describeAsRoot } from '../support/network-namespace';

const vip = '10.96.0.10';

function countBy(items: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  return counts;
}

/** Pearson's statistic for equal shares. Over `classes` its mean is classes - 1 and its standard deviation sqrt(2 classes). */
function chiSquare(counts: ReadonlyMap<string, number>, classes: number, total: number): number {
  const expected = total / classes;
  const seen = [...counts.values()].reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  return seen + (classes - counts.size) * expected;
}

describeAsRoot('balance', () => {
  const crowdSlices = (from: number, to: number): ReturnType<typeof slice>[] => {
    const numbers = Array.from({ length: to - from }, (_, n) => from + n);
    const chunks = [numbers.slice(0, 100), numbers.slice(100, 200), numbers.slice(200)].filter(
      (chunk) => chunk.length > 0,
    );
    return chunks.map((chunk, n) =>
      slice(
        chunk.map((number) => ['e', { ready: true, address: crowd.address(number) }] as const),
        { name: `web-${n}` },
      ),
    );
  };

  test.each(hostWays)(
    '300 endpoints get equal shares, and those that go get none (%s)',
    async (_, way) => {
      const cluster = new ProxiedCluster({ ...way, command: vipwire });
      const reached = async (count: number): Promise<string[]> => {
        const answers = await cluster.lab.probe('c', { to: vip, port: 80, count, parallel: 8 });
        expect(answers.filter(({ outcome }) => outcome !== 'ok')).toEqual([]);
        return answers.map((answer) => (answer.outcome === 'ok' ? answer.address : ''));
      };
      try {
        await cluster.start([service(), ...crowdSlices(1, 301)]);
        const all = countBy(await reached(3000));
        expect(all.size).toBeGreaterThan(290);
        // Six standard deviations.
        expect(chiSquare(all, 300, 3000)).toBeLessThan(299 + 6 * Math.sqrt(600));

        await cluster.apply([service(), ...crowdSlices(201, 301)]);
        const left = new Set(await reached(1000));
        const allowed = new Set(Array.from({ length: 100 }, (_, n) => crowd.address(201 + n)));
        expect([...left].filter((address) => !allowed.has(address))).toEqual([]);
        expect(left.size).toBeGreaterThan(95);

        await cluster.apply([service(), slice(['a', 'b', 'd'])]);
        const three = countBy(await reached(900));
        expect(three.size).toBe(3);
        expect(chiSquare(three, 3, 900)).toBeLessThan(2 + 6 * Math.sqrt(6));
      } finally {
        await cluster.stop();
      }
    },
    60_000,
  );
});
