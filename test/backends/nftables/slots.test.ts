import fc from 'fast-check';
import { assignSlots, hasScheduler, mostHashed } from '../../../src/backends/nftables/slots';
import { parseScheduler, type Scheduler } from '../../../src/model/scheduler';
import type { PlanEndpoint } from '../../../src/planner/plan';
import { endpoint } from '../../support/plans';

function scheduler(text: string): Scheduler {
  const parsed = parseScheduler(text);
  if (parsed === undefined) throw new Error(`${text} is no scheduler`);
  return parsed;
}

const pods = (count: number, weightOf?: (i: number) => number): PlanEndpoint[] =>
  Array.from({ length: count }, (_, i) => ({
    ...endpoint(`10.244.${i >> 8}.${i & 255}`),
    ...(weightOf && { weight: weightOf(i) }),
  }));

function countsOf(values: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

test('without weights every endpoint has one slot, and with weight 0 it has none', () => {
  expect(assignSlots(pods(3), undefined)).toEqual({
    by: 'random',
    values: ['10.244.0.0 . 8080', '10.244.0.1 . 8080', '10.244.0.2 . 8080'],
  });
  expect(
    assignSlots(
      pods(3, (i) => (i === 1 ? 0 : 7)),
      undefined,
    ).values,
  ).toHaveLength(2);
  expect(assignSlots([], scheduler('mh'))).toEqual({ by: 'random', values: [] });
});

test('small weights are exact', () => {
  const { values } = assignSlots(
    pods(2, (i) => (i === 0 ? 90 : 10)),
    undefined,
  );
  expect([...countsOf(values).values()]).toEqual([9, 1]);
});

test('each share is right within one percentage point, and every endpoint has a slot', () => {
  const weights = fc.array(fc.integer({ min: 1, max: 65_535 }), { minLength: 1, maxLength: 120 });
  fc.assert(
    fc.property(weights, (list) => {
      const { values } = assignSlots(
        pods(list.length, (i) => list[i] ?? 1),
        undefined,
      );
      const counts = countsOf(values);
      const sum = list.reduce((all, weight) => all + weight, 0);
      expect(counts.size).toBe(list.length);
      for (const [i, { address, port }] of pods(list.length).entries())
        expect(
          Math.abs((counts.get(`${address} . ${port}`) ?? 0) / values.length - (list[i] ?? 0) / sum),
        ).toBeLessThanOrEqual(0.01);
    }),
  );
});

test('rr and wrr take turns, with weights where there are some, as IPVS mode does', () => {
  const weighted = pods(2, (i) => i + 1);
  expect(assignSlots(pods(2), scheduler('rr'))).toMatchObject({ by: 'inc', values: { length: 2 } });
  expect(assignSlots(weighted, scheduler('rr'))).toMatchObject({ by: 'inc', values: { length: 3 } });
  expect(assignSlots(weighted, scheduler('wrr'))).toEqual(assignSlots(weighted, scheduler('rr')));
});

describe('by a hash of the source', () => {
  test.each([
    [1, 251],
    [30, 251],
    [31, 4096],
    [512, 4096],
  ])('%i endpoints: %i slots, and each endpoint has some', (count, slots) => {
    const { by, values } = assignSlots(pods(count), scheduler('sh'));
    const counts = [...countsOf(values).values()];
    expect({ by, slots: values.length, endpoints: counts.length }).toEqual({ by: 'hash', slots, endpoints: count });
    const shares = counts.map((slotsOfOne) => slotsOfOne / slots);
    expect(Math.max(...shares) - 1 / count).toBeLessThanOrEqual(0.012);
  });

  test('the table does not depend on the order of the endpoints', () => {
    const table = assignSlots(pods(40), scheduler('mh'));
    expect(assignSlots(pods(40).reverse(), scheduler('mh'))).toEqual(table);
  });

  test.each([3, 10, 30, 32, 100, 512])(
    'of %i endpoints one goes: at most 1.5 of a share of the clients move',
    (count) => {
      const all = pods(count);
      const before = assignSlots(all, scheduler('mh')).values;
      const going = all.filter((_, i) => i % Math.ceil(count / 10) === 0);
      const moves = going.map((gone) => {
        const after = assignSlots(
          all.filter((one) => one !== gone),
          scheduler('mh'),
        ).values;
        expect(after).toHaveLength(before.length);
        return before.filter((value, slot) => value !== after[slot]).length / before.length;
      });
      expect(moves.reduce((sum, moved) => sum + moved, 0) / moves.length).toBeLessThanOrEqual(1.5 / count);
    },
  );

  test('weights are shares of the table', () => {
    const counts = [
      ...countsOf(
        assignSlots(
          pods(3, (i) => [1, 2, 5][i] ?? 1),
          scheduler('mh'),
        ).values,
      ).entries(),
    ];
    const shares = counts.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, count]) => count / 251);
    for (const [i, share] of [1 / 8, 2 / 8, 5 / 8].entries())
      expect(Math.abs((shares[i] ?? 0) - share)).toBeLessThan(0.01);
  });

  test('more endpoints than the largest table has room for are chosen at random', () => {
    expect(assignSlots(pods(mostHashed + 1), scheduler('mh')).by).toBe('random');
    expect([hasScheduler(scheduler('mh'), mostHashed), hasScheduler(scheduler('mh'), mostHashed + 1)]).toEqual([
      true,
      false,
    ]);
    expect([hasScheduler(scheduler('rr'), 5000), hasScheduler(scheduler('wlc'), 2)]).toEqual([true, false]);
  });
});
