/** What comes between two pieces of a round's work. */
import fc from 'fast-check';
import type { ClusterChange } from '../../src/model/cluster';
import { planCluster } from '../../src/planner/plan-cluster';
import { timeSlices } from '../../src/model/time-slice';
import { makeEndpoint, makeService, makeSlice } from '../support/cluster-objects';
import { largeHistoryArb } from '../support/large-histories';
import { Loop } from './loop';

type Happening =
  | { readonly kind: 'changes'; readonly changes: readonly ClusterChange[] }
  | { readonly kind: 'settings'; readonly zone: string }
  | { readonly kind: 'look' };

const happeningsArb: fc.Arbitrary<Happening[]> = largeHistoryArb.chain((history) =>
  fc
    .array(
      fc.constantFrom<Happening>({ kind: 'settings', zone: 'z2' }, { kind: 'settings', zone: 'z3' }, { kind: 'look' }),
      {
        maxLength: 4,
      },
    )
    .chain((others) => {
      const all = [...history.map((changes): Happening => ({ kind: 'changes', changes })), ...others];
      return fc.shuffledSubarray(all, { minLength: all.length });
    }),
);

test('what happens in the midst of a round is the next one’s: the kernel ends as a fresh start would have it', async () => {
  await fc.assert(
    fc.asyncProperty(happeningsArb, fc.integer({ min: 1, max: 40 }), async (happenings, pieces) => {
      const waiting = [...happenings];
      const looks: Promise<unknown>[] = [];
      let count = 0;
      const loop: Loop = new Loop({
        pause: () => {
          if (++count % pieces !== 0) return undefined;
          const next = waiting.shift();
          if (next?.kind === 'changes') loop.change(...next.changes);
          else if (next?.kind === 'settings') loop.changeSettings({ zone: next.zone });
          else if (next?.kind === 'look') looks.push(loop.reconciler.checkKernel());
          return Promise.resolve();
        },
      });
      loop.reconciler.start();
      for (let round = 0; round < 3 * happenings.length + 3; round++) {
        await loop.clock.advance(2000);
        // Where no piece came for it to happen at.
        const next = waiting[0];
        if (next?.kind === 'changes') loop.change(...(waiting.shift() as typeof next).changes);
        else waiting.shift();
      }
      await Promise.all(looks);
      await loop.clock.advance(100_000);
      expect(loop.failures).toEqual([]);
      expect(loop.clock.waitsMs).toEqual([]);
      expect(loop.reconciler.currentPlan?.services).toEqual(planCluster(loop.store, 'IPv4', loop.settings).services);
      expect(loop.kernel()).toEqual(await loop.fresh());
    }),
    { numRuns: 15 },
  );
}, 120_000);

test('a round may be left between any two ports of a Service, and between Services', async () => {
  let pieces = 0;
  const loop = new Loop({
    pause: () => {
      pieces++;
      return undefined;
    },
  });
  const ports = Array.from({ length: 50 }, (_, i) => ({ name: `p${i}`, protocol: 'TCP' as const, port: 80 + i }));
  for (const name of ['a', 'b'])
    loop.set(
      makeService({ name, ports: ports.map((port) => ({ ...port, nodePort: 0 })) }),
      makeSlice([makeEndpoint('10.0.0.1')], { name: `${name}-1`, serviceName: name, ports }),
    );
  await loop.begin();
  // Planning and rendering.
  expect(pieces).toBeGreaterThanOrEqual(2 * 2 * 50);
  pieces = 0;
  loop.changeSettings({ zone: 'z2' });
  await loop.clock.advance(5000);
  expect(pieces).toBeGreaterThanOrEqual(2 * 2 * 50);
});

test('a slice of time that is not used up costs no turn of the event loop; one that is gives the others theirs', async () => {
  const pause = timeSlices();
  expect(pause()).toBeUndefined();
  const from = performance.now();
  while (performance.now() - from < 12);
  const order: string[] = [];
  setImmediate(() => order.push('others'));
  await pause();
  order.push('this');
  expect(order).toEqual(['others', 'this']);
});
