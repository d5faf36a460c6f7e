import fc from 'fast-check';
import type { ClusterChange, ServiceKey } from '../../src/model/cluster';
import type { NodeSettings, ServicePlan } from '../../src/planner/plan';
import { planCluster } from '../../src/planner/plan-cluster';
import type { SyncReport } from '../../src/reconciler/sync-report';
import { historyArb } from '../support/cluster-arbitraries';
import { Loop } from './loop';

type Event =
  | { readonly kind: 'changes'; readonly changes: readonly ClusterChange[] }
  | { readonly kind: 'time'; readonly ms: number }
  /** Whole calls fail, or a call fails after its first table is in force. */
  | { readonly kind: 'fail'; readonly calls: number; readonly midway: boolean }
  | { readonly kind: 'drift'; readonly how: 'flush' | 'delete' | 'edit' | 'jump'; readonly table: 'nat' | 'filter' }
  | { readonly kind: 'settings'; readonly over: Partial<NodeSettings> }
  | { readonly kind: 'restart' };

const eventArb: fc.Arbitrary<Event[]> = historyArb.chain((history) =>
  fc
    .array(
      fc.oneof(
        fc.record({ kind: fc.constant('time' as const), ms: fc.constantFrom(0, 10, 50, 700, 2000, 40_000) }),
        fc.record({ kind: fc.constant('fail' as const), calls: fc.integer({ min: 1, max: 3 }), midway: fc.boolean() }),
        fc.record({
          kind: fc.constant('drift' as const),
          how: fc.constantFrom('flush' as const, 'delete' as const, 'edit' as const, 'jump' as const),
          table: fc.constantFrom('nat' as const, 'filter' as const),
        }),
        fc.record({
          kind: fc.constant('settings' as const),
          over: fc.constantFrom<Partial<NodeSettings>>(
            {},
            { zone: 'z2' },
            { masqueradeAll: true },
            { localDetector: { IPv4: { kind: 'cidr', cidr: '10.0.0.0/8' }, IPv6: { kind: 'none' } } },
            { nodePortAddresses: { IPv4: { kind: 'some', addresses: ['192.168.88.10'] }, IPv6: { kind: 'all' } } },
          ),
        }),
        fc.constant({ kind: 'restart' as const }),
      ),
      { maxLength: 12 },
    )
    .chain((others) => {
      const changes = history.map((batch) => ({ kind: 'changes' as const, changes: batch }));
      return fc.shuffledSubarray<Event>([...changes, ...others], { minLength: changes.length + others.length });
    }),
);

function drift(loop: Loop, how: string, table: string): void {
  const chains = loop.tables.tables.get(table) ?? new Map<string, string[]>();
  const ours = [...chains.keys()].filter((chain) => chain.startsWith('KUBE-'));
  const some = chains.get(ours[Math.floor(ours.length / 2)] ?? '');
  if (how === 'flush') for (const rules of chains.values()) rules.length = 0;
  else if (how === 'edit') some?.push('-s 192.0.2.1/32 -j RETURN');
  else if (how === 'jump') for (const from of ['OUTPUT', 'FORWARD']) chains.get(from)?.splice(0, 1);
  else {
    for (const rules of chains.values()) rules.length = 0;
    for (const chain of ours) chains.delete(chain);
  }
}

/** What a listener knows of the Plan from reports alone. */
class Listener {
  readonly plans = new Map<ServiceKey, ServicePlan>();
  readonly triggers: number[] = [];
  private seen = 0;

  constructor(private readonly reports: readonly SyncReport[]) {}

  listen(): void {
    for (; this.seen < this.reports.length; this.seen++) {
      const { before, after, triggerTimesMs } = this.reports[this.seen] as SyncReport;
      expect([...after.keys()]).toEqual([...before.keys()]);
      for (const [key, plan] of before) expect(plan).toEqual(this.plans.get(key));
      for (const [key, plan] of after) {
        if (plan === undefined) this.plans.delete(key);
        else this.plans.set(key, plan);
      }
      this.triggers.push(...triggerTimesMs);
    }
  }
}

/** Each slice with a trigger time of its own. */
function stamped(changes: readonly ClusterChange[], clock: { ms: number }): ClusterChange[] {
  return changes.map((change) =>
    change.op === 'set' && change.object.kind === 'EndpointSlice'
      ? { op: 'set', object: { ...change.object, lastChangeTriggerMs: ++clock.ms } }
      : change,
  );
}

function failNext(loop: Loop, calls: number, midway: boolean): void {
  if (!midway) {
    loop.tables.failures = calls;
    return;
  }
  let commits = 0;
  loop.tables.beforeCommit = () => {
    if (++commits < 2) return;
    loop.tables.beforeCommit = undefined;
    throw new Error('told to fail after the first table');
  };
}

test('whatever happens in whatever order, the kernel ends as a fresh start would have it, and nothing is lost or told twice', async () => {
  await fc.assert(
    fc.asyncProperty(eventArb, async (events) => {
      let loop = new Loop({ writeMs: 20 });
      let listener = new Listener(loop.reports);
      // A look that is refused is asked for again, as DriftWatch does.
      let mayHaveDrifted = false;
      const stamps = { ms: 0 };
      loop.reconciler.start();
      for (const event of events) {
        if (event.kind === 'changes') loop.change(...stamped(event.changes, stamps));
        else if (event.kind === 'time') await loop.clock.advance(event.ms);
        else if (event.kind === 'fail') failNext(loop, event.calls, event.midway);
        else if (event.kind === 'settings') loop.changeSettings(event.over);
        else if (event.kind === 'drift') {
          drift(loop, event.how, event.table);
          mayHaveDrifted = !(await loop.reconciler.checkKernel());
        } else {
          const stopped = loop.reconciler.stop();
          await loop.clock.advance(1000);
          await stopped;
          const { tables, store, clock, settings } = loop;
          loop = new Loop({ tables, store, clock, writeMs: 20 });
          loop.settings = settings;
          listener = new Listener(loop.reports);
          loop.reconciler.start();
        }
        if (mayHaveDrifted) mayHaveDrifted = !(await loop.reconciler.checkKernel());
        listener.listen();
      }
      loop.tables.beforeCommit = undefined;
      loop.tables.failures = 0;
      await loop.clock.advance(100_000);
      if (mayHaveDrifted) expect(await loop.reconciler.checkKernel()).toBe(true);
      await loop.clock.advance(100_000);
      listener.listen();
      expect(loop.clock.waitsMs).toEqual([]);
      expect(loop.kernel()).toEqual(await loop.fresh());
      const planned = planCluster(loop.store, 'IPv4', loop.settings).services;
      expect(new Map([...listener.plans].sort())).toEqual(new Map([...planned].sort()));
      expect(loop.reconciler.currentPlan?.services).toEqual(planned);
      expect(new Set(listener.triggers).size).toBe(listener.triggers.length);
    }),
    { numRuns: 100 },
  );
}, 30_000);
