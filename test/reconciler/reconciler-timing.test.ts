import { at, Loop, running, web } from './loop';

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
