import { FakeIptables } from '../support/fake-iptables';
import { at, Loop, running } from './loop';

/** The next save tells what the kernel holds now when it is let go. */
function holdSave(tables: FakeIptables): () => void {
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  const seen = tables.save();
  jest.spyOn(tables, 'save').mockImplementationOnce(() => ended.then(() => seen));
  return end;
}

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
