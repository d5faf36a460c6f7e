import { serviceKey } from '../../src/model/cluster';
import { makeEndpoint, makeService, makeSlice } from '../support/cluster-objects';
import { FakeIptables } from '../support/fake-iptables';
import { Loop } from './loop';

const web = makeService();
const key = serviceKey('default', 'web');
const at = (address: string, triggerMs?: number): ReturnType<typeof makeSlice> =>
  makeSlice([makeEndpoint(address)], triggerMs === undefined ? {} : { lastChangeTriggerMs: triggerMs });

async function running(options: ConstructorParameters<typeof Loop>[0] = {}): Promise<Loop> {
  const loop = new Loop(options);
  loop.set(web, at('10.0.0.1'));
  await loop.begin();
  expect(loop.reports).toHaveLength(1);
  return loop;
}

/** The next save tells what the kernel holds now when it is let go. */
function holdSave(tables: FakeIptables): () => void {
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  const seen = tables.save();
  jest.spyOn(tables, 'save').mockImplementationOnce(() => ended.then(() => seen));
  return end;
}

describe('the first round', () => {
  test('nothing is written, and nothing pends, before start', async () => {
    const loop = new Loop();
    loop.set(web, at('10.0.0.1'));
    loop.reconciler.settingsChanged();
    expect(await loop.reconciler.checkKernel()).toBe(false);
    await loop.clock.advance(60_000);
    expect(loop.reads).toBe(0);
    expect(loop.tables.inputs).toEqual([]);
    expect(loop.queued).toBe(0);
    expect(loop.reconciler.currentPlan).toBeUndefined();
    loop.reconciler.start();
    await loop.clock.advance(0);
    expect(loop.tables.inputs).toHaveLength(1);
    expect(loop.kernel()).toEqual(await loop.fresh());
    expect(loop.queued).toBe(1);
  });

  test('an empty cluster has its fixed chains written', async () => {
    const loop = new Loop();
    loop.reconciler.start();
    await loop.clock.advance(0);
    expect(loop.lastReport()).toMatchObject({ reasons: new Set(['start']), drifted: false });
    expect(loop.kernel()).toEqual(await loop.fresh());
  });

  test('reads once: ahead where there was time, or by itself', async () => {
    const ahead = new Loop();
    await ahead.reconciler.readAhead();
    await ahead.begin();
    expect(ahead.reads).toBe(1);
    const alone = new Loop();
    await alone.begin();
    expect(alone.reads).toBe(1);
  });

  test('what another process left is not written again', async () => {
    const before = await running();
    const after = new Loop({ tables: before.tables, store: before.store });
    const { length } = before.tables.inputs;
    await after.begin();
    expect(before.tables.inputs).toHaveLength(length);
    expect(after.lastReport().written).toBeUndefined();
    expect(after.lastReport().after.has(key)).toBe(true);
  });
});

describe('when', () => {
  test('a change after a quiet time goes out at once, without a timer', async () => {
    const loop = await running();
    loop.set(at('10.0.0.2'));
    expect(loop.clock.waitsMs).toEqual([]);
    await loop.clock.advance(0);
    expect(loop.reports).toHaveLength(2);
    expect(loop.tables.print()).toContain('10.0.0.2:8080');
  });

  test('changes of one turn of the event loop are one round', async () => {
    const loop = await running();
    for (let i = 2; i < 20; i++) loop.set(at(`10.0.0.${i}`));
    await loop.clock.advance(10_000);
    expect(loop.reports).toHaveLength(2);
  });

  test('a burst is one round a period, from the end of the one before', async () => {
    const loop = await running({ writeMs: 300 });
    await loop.clock.advance(5000);
    const startMs = loop.clock.now();
    const ends: number[] = [];
    let seen = loop.reports.length;
    for (let ms = 0; ms < 4000; ms += 50) {
      loop.set(at(`10.1.${ms / 50}.1`));
      await loop.clock.advance(50);
      if (loop.reports.length > seen) ends.push(loop.clock.now() - startMs);
      seen = loop.reports.length;
    }
    // 300 to write, 1,000 of rest.
    expect(ends).toEqual([300, 1600, 2900]);
    await loop.clock.advance(5000);
    expect(loop.tables.print()).toContain('10.1.79.1:8080');
    expect(loop.clock.waitsMs).toEqual([]);
  });

  test('a change during a round is in the next one', async () => {
    const loop = await running({ writeMs: 500 });
    await loop.clock.advance(5000);
    loop.set(at('10.0.0.2'));
    await loop.clock.advance(200);
    loop.set(at('10.0.0.3'));
    await loop.clock.advance(300);
    expect(loop.reports).toHaveLength(2);
    expect(loop.tables.print()).toContain('10.0.0.2:8080');
    await loop.clock.advance(1499);
    expect(loop.tables.print()).not.toContain('10.0.0.3:8080');
    await loop.clock.advance(1);
    expect(loop.tables.print()).toContain('10.0.0.3:8080');
    expect(loop.reports).toHaveLength(3);
  });

  test('a failed write is tried again by itself, later each time, after the longest wait at the latest', async () => {
    const loop = await running();
    await loop.clock.advance(5000);
    loop.tables.failures = 9;
    loop.set(at('10.0.0.2'));
    const startMs = loop.clock.now();
    const failedAt: number[] = [];
    for (let ms = 0; loop.reports.length < 2; ms += 500) {
      expect(ms).toBeLessThan(300_000);
      await loop.clock.advance(ms === 0 ? 0 : 500);
      if (loop.failures.length > failedAt.length) failedAt.push(loop.clock.now() - startMs);
    }
    const waits = failedAt.slice(1).map((ms, i) => ms - (failedAt[i] ?? 0));
    expect(waits).toEqual([1000, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    expect(loop.failures.map(({ failures }) => failures)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(loop.kernel()).toEqual(await loop.fresh());
    expect(loop.lastReport()).toMatchObject({ reasons: new Set(['retry']), drifted: false });
    await loop.clock.advance(120_000);
    expect(loop.reports).toHaveLength(2);
  });

  test('a change is a reason to try again, and success ends the backoff', async () => {
    const loop = await running();
    await loop.clock.advance(5000);
    loop.tables.failures = 6;
    loop.set(at('10.0.0.2'));
    await loop.clock.advance(20_000);
    expect(loop.failures).toHaveLength(6);
    loop.set(at('10.0.0.3'));
    await loop.clock.advance(0);
    expect(loop.reports).toHaveLength(2);
    expect(loop.kernel()).toEqual(await loop.fresh());
    await loop.clock.advance(5000);
    loop.tables.failures = 1;
    loop.set(at('10.0.0.4'));
    await loop.clock.advance(1000);
    expect(loop.reports).toHaveLength(3);
  });

  test('a look at the kernel is no change: it does not shorten the wait of a write that fails', async () => {
    const loop = await running();
    await loop.clock.advance(5000);
    loop.tables.failures = 100;
    loop.set(at('10.0.0.2'));
    for (let second = 0; second < 60; second++) {
      await loop.clock.advance(1000);
      await loop.reconciler.checkKernel();
    }
    // 0, 1, 2, 4, 8, 16, 32 s.
    expect(loop.failures.length).toBeLessThanOrEqual(8);
  });

  test('a look that is asked for while a failed write is tried again is refused, and so asked for again', async () => {
    const loop = await running({ writeMs: 20 });
    loop.tables.failures = 1;
    loop.set(at('10.0.0.2'));
    const { reads } = loop;
    for (let ms = 0; loop.reads === reads && ms < 5000; ms += 10) await loop.clock.advance(10);
    expect(loop.failures).toHaveLength(1);
    expect(loop.reports).toHaveLength(1);
    for (const rules of loop.tables.tables.get('filter')?.values() ?? []) rules.length = 0;
    expect(await loop.reconciler.checkKernel()).toBe(false);
    await loop.clock.advance(5000);
    expect(await loop.reconciler.checkKernel()).toBe(true);
    await loop.clock.advance(5000);
    expect(loop.kernel()).toEqual(await loop.fresh());
  });

  test('a read that fails is tried again too', async () => {
    const loop = new Loop();
    loop.set(web, at('10.0.0.1'));
    const save = jest.spyOn(loop.tables, 'save').mockRejectedValue(new Error('no tables'));
    await loop.reconciler.readAhead();
    await loop.begin();
    expect(loop.failures[0]).toMatchObject({ full: true, failures: 1 });
    expect(loop.tables.inputs).toEqual([]);
    save.mockRestore();
    await loop.clock.advance(5000);
    expect([...loop.lastReport().reasons].sort()).toEqual(['retry', 'start']);
    expect(loop.kernel()).toEqual(await loop.fresh());
  });
});

describe('settings', () => {
  test('other settings plan everything anew, without a read', async () => {
    const loop = await running();
    const { reads } = loop;
    loop.changeSettings({ masqueradeAll: true });
    await loop.clock.advance(1000);
    expect(loop.lastReport()).toMatchObject({ reasons: new Set(['settings']), drifted: false });
    expect(loop.reads).toBe(reads);
    expect(loop.kernel()).toEqual(await loop.fresh());
  });

  test('settings that make no difference write nothing', async () => {
    const loop = await running();
    loop.reconciler.settingsChanged();
    await loop.clock.advance(1000);
    expect(loop.lastReport().written).toBeUndefined();
  });

  test('a Service that no other settings touch is not told as changed', async () => {
    const loop = await running();
    loop.changeSettings({ zone: 'z9' });
    await loop.clock.advance(1000);
    expect([...loop.lastReport().before.keys()]).toEqual([]);
  });

  test('a Service that went before it was written leaves nothing to delete', async () => {
    const loop = await running();
    await loop.clock.advance(5000);
    loop.tables.failures = 1;
    loop.set(makeService({ name: 'api', clusterIPs: { IPv4: '10.96.0.11' } }));
    loop.set(makeSlice([makeEndpoint('10.0.0.9')], { name: 'api-1', serviceName: 'api' }));
    await loop.clock.advance(0);
    loop.change({ op: 'delete', kind: 'Service', namespace: 'default', name: 'api' });
    loop.reconciler.settingsChanged();
    await loop.clock.advance(1000);
    expect(loop.lastReport().written).toBeUndefined();
  });
});

describe('drift', () => {
  test('a foreign flush is put right and told', async () => {
    const loop = await running();
    for (const rules of loop.tables.tables.get('nat')?.values() ?? []) rules.length = 0;
    await loop.reconciler.checkKernel();
    await loop.clock.advance(1000);
    expect(loop.kernel()).toEqual(await loop.fresh());
    expect(loop.lastReport()).toMatchObject({ reasons: new Set(['drift']), drifted: true });
  });

  test('where nothing differs, nothing is told or written', async () => {
    const loop = await running();
    await loop.reconciler.checkKernel();
    await loop.clock.advance(5000);
    expect(loop.reports).toHaveLength(1);
    expect(loop.reads).toBe(2);
  });

  test("a round's own changes are no drift", async () => {
    const loop = await running();
    loop.set(at('10.0.0.2'));
    await loop.reconciler.checkKernel();
    await loop.clock.advance(1000);
    expect(loop.lastReport()).toMatchObject({ drifted: false });
    expect(loop.tables.print()).toContain('10.0.0.2:8080');
  });

  test('nor are those that an earlier round failed to write', async () => {
    const loop = await running();
    loop.tables.failures = 1;
    loop.set(at('10.0.0.2'));
    await loop.reconciler.checkKernel();
    await loop.clock.advance(5000);
    expect(loop.failures).toHaveLength(1);
    expect(loop.reports).toHaveLength(2);
    expect(loop.lastReport().drifted).toBe(false);
  });

  test('nor what a first round finds of another proxy', async () => {
    const tables = new FakeIptables();
    await tables.restore('*nat\n:KUBE-SVC-OLD - [0:0]\nCOMMIT\n');
    const loop = new Loop({ tables });
    loop.reconciler.start();
    await loop.reconciler.checkKernel();
    await loop.clock.advance(1000);
    expect(loop.lastReport().reasons).toEqual(new Set(['start']));
    expect(loop.lastReport().drifted).toBe(false);
  });

  test('drift whose repair failed at first is told with the round that repaired it', async () => {
    const loop = await running();
    await loop.clock.advance(5000);
    for (const rules of loop.tables.tables.get('filter')?.values() ?? []) rules.length = 0;
    loop.tables.failures = 1;
    await loop.reconciler.checkKernel();
    await loop.clock.advance(5000);
    expect(loop.reports).toHaveLength(2);
    expect(loop.lastReport().drifted).toBe(true);
    expect(loop.kernel()).toEqual(await loop.fresh());
  });

  test('a look that takes long holds no round up, and takes nothing back of what is written meanwhile', async () => {
    const loop = await running();
    await loop.clock.advance(5000);
    const endSave = holdSave(loop.tables);
    const looked = loop.reconciler.checkKernel();
    loop.set(at('10.0.0.2'));
    await loop.clock.advance(1000);
    expect(loop.tables.print()).toContain('10.0.0.2:8080');
    expect(loop.reports).toHaveLength(2);
    endSave();
    expect(await looked).toBe(true);
    await loop.clock.advance(5000);
    expect(loop.reports).toHaveLength(2);
    expect(loop.kernel()).toEqual(await loop.fresh());
  });

  test('of two looks the one that began later counts', async () => {
    const loop = await running();
    await loop.clock.advance(5000);
    const endSave = holdSave(loop.tables);
    const early = loop.reconciler.checkKernel();
    for (const rules of loop.tables.tables.get('nat')?.values() ?? []) rules.length = 0;
    await loop.reconciler.checkKernel();
    endSave();
    await early;
    await loop.clock.advance(5000);
    expect(loop.lastReport().drifted).toBe(true);
    expect(loop.kernel()).toEqual(await loop.fresh());
  });
});

describe('what a round tells', () => {
  test('before and after, of the Services that changed alone', async () => {
    const loop = await running();
    loop.set(makeService({ name: 'api', clusterIPs: { IPv4: '10.96.0.11' } }));
    await loop.clock.advance(1000);
    const api = serviceKey('default', 'api');
    expect([...loop.lastReport().before]).toEqual([[api, undefined]]);
    expect([...loop.lastReport().after.keys()]).toEqual([api]);
    const { after } = loop.lastReport();
    loop.change({ op: 'delete', kind: 'Service', namespace: 'default', name: 'api' });
    await loop.clock.advance(1000);
    expect(loop.lastReport().before).toEqual(after);
    expect([...loop.lastReport().after]).toEqual([[api, undefined]]);
  });

  test('after a failure, before is what was in force', async () => {
    const loop = await running();
    await loop.clock.advance(5000);
    const inForce = loop.reports[0]?.after.get(key);
    loop.tables.failures = 2;
    loop.set(at('10.0.0.2'));
    await loop.clock.advance(0);
    loop.set(at('10.0.0.3'));
    await loop.clock.advance(10_000);
    expect(loop.failures).toHaveLength(2);
    expect(loop.lastReport().before.get(key)).toBe(inForce);
    expect(loop.lastReport().after.get(key)?.ports[0]?.clusterEndpoints).toMatchObject([{ address: '10.0.0.3' }]);
  });

  test("a trigger's time is told once, with the round that brought it into force", async () => {
    const loop = new Loop();
    loop.set(web, at('10.0.0.1', 101));
    await loop.begin();
    expect(loop.lastReport().triggerTimesMs).toEqual([101]);
    loop.set(at('10.0.0.2', 102));
    loop.set(at('10.0.0.3', 103));
    await loop.clock.advance(1000);
    expect(loop.lastReport().triggerTimesMs).toEqual([102, 103]);
    loop.reconciler.settingsChanged();
    await loop.clock.advance(1000);
    expect(loop.lastReport().triggerTimesMs).toEqual([]);
  });

  test('also after failures', async () => {
    const loop = await running();
    await loop.clock.advance(5000);
    loop.tables.failures = 3;
    loop.set(at('10.0.0.2', 102));
    await loop.clock.advance(1000);
    loop.set(at('10.0.0.3', 103));
    await loop.clock.advance(30_000);
    expect(loop.reports).toHaveLength(2);
    expect(loop.lastReport().triggerTimesMs).toEqual([102, 103]);
  });

  test('also where more of the same Service came during the round', async () => {
    const loop = await running({ writeMs: 500 });
    await loop.clock.advance(5000);
    loop.set(at('10.0.0.2', 102));
    await loop.clock.advance(100);
    loop.set(at('10.0.0.3', 103));
    await loop.clock.advance(400);
    expect(loop.lastReport().triggerTimesMs).toEqual([102]);
    await loop.clock.advance(5000);
    expect(loop.lastReport().triggerTimesMs).toEqual([103]);
  });

  test('a change that does not concern this family has none', async () => {
    const loop = await running();
    loop.set(makeSlice([makeEndpoint('fd00::1')], { name: 'v6', family: 'IPv6', lastChangeTriggerMs: 104 }));
    await loop.clock.advance(1000);
    expect(loop.lastReport()).toMatchObject({ triggerTimesMs: [], written: undefined });
    loop.set(at('10.0.0.2', 105));
    await loop.clock.advance(1000);
    expect(loop.lastReport().triggerTimesMs).toEqual([105]);
  });

  test('a change that is taken back leaves nothing to tell', async () => {
    const loop = await running();
    await loop.clock.advance(5000);
    loop.tables.failures = 1;
    loop.set(at('10.0.0.2'));
    await loop.clock.advance(0);
    loop.set(at('10.0.0.1'));
    await loop.clock.advance(5000);
    expect(loop.lastReport().written).toBeUndefined();
    expect(loop.lastReport().after.get(key)).toEqual(loop.lastReport().before.get(key));
  });
});

describe('stop', () => {
  test('ends after the step in hand, and nothing is written after that', async () => {
    const loop = await running({ writeMs: 500 });
    await loop.clock.advance(5000);
    loop.set(at('10.0.0.2'));
    await loop.clock.advance(100);
    loop.set(at('10.0.0.3'));
    let stopped = false;
    void loop.reconciler.stop().then(() => (stopped = true));
    await loop.clock.advance(399);
    expect(stopped).toBe(false);
    await loop.clock.advance(1);
    expect(stopped).toBe(true);
    expect(loop.tables.print()).toContain('10.0.0.2:8080');
    loop.set(at('10.0.0.4'));
    expect(await loop.reconciler.checkKernel()).toBe(false);
    await loop.clock.advance(60_000);
    expect(loop.tables.print()).not.toMatch(/10\.0\.0\.[34]:8080/);
    expect(loop.clock.waitsMs).toEqual([]);
  });

  test('a write that was fully made is told, though the loop is being stopped', async () => {
    const loop = await running({ writeMs: 500 });
    await loop.clock.advance(5000);
    loop.set(at('10.0.0.2', 102));
    await loop.clock.advance(100);
    void loop.reconciler.stop();
    await loop.clock.advance(400);
    expect(loop.lastReport().triggerTimesMs).toEqual([102]);
  });

  test('a wait for the next round ends at once', async () => {
    const loop = await running();
    loop.set(at('10.0.0.2'));
    loop.set(at('10.0.0.3'));
    await loop.clock.advance(0);
    loop.set(at('10.0.0.4'));
    await loop.reconciler.stop();
    expect(loop.clock.waitsMs).toEqual([]);
  });

  test('before the first round nothing is written', async () => {
    const loop = new Loop();
    loop.reconciler.start();
    await loop.reconciler.stop();
    await loop.clock.advance(5000);
    expect(loop.tables.inputs).toEqual([]);
  });
});

test('a dry run shows what it would write, once, and writes nothing', async () => {
  const loop = await running({ dryRun: true });
  loop.set(at('10.0.0.2'));
  await loop.clock.advance(1000);
  loop.reconciler.settingsChanged();
  await loop.clock.advance(1000);
  expect(loop.tables.inputs).toEqual([]);
  expect(loop.batches).toHaveLength(2);
  expect(loop.batches[0]).toContain('*filter');
  expect(loop.batches[1]?.match(/^:\S+/gm)).toEqual([expect.stringMatching(/^:KUBE-SVC-[A-Z2-7]{16}$/)]);
  expect(loop.batches[1]).toContain('10.0.0.2:8080');
});
