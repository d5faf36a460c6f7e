import { serviceKey } from '../../src/model/cluster';
import { makeEndpoint, makeService, makeSlice } from '../support/cluster-objects';
import { at, Loop, running, web } from './loop';

const key = serviceKey('default', 'web');
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
