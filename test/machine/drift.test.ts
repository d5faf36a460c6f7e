import { absent, type Answer, found, unknown } from '../../src/model/answer';
import { DriftWatch } from '../../src/machine/drift';
import { noRules } from '../../src/xtables/parse-save';
import type { KernelTables } from '../../src/xtables/kernel-tables';
import { watchedTables } from '../../src/machine/told-tables';
import { FakeClock } from '../reconciler/fake-clock';

/** The kernel's counter, with writers who move it on. */
class Kernel {
  generation: number;
  canaries: boolean | 'cannot tell' = true;
  /** The look at the canaries counts as a transaction. */
  looksCount = false;
  netlink: 'works' | 'fails' = 'works';
  /** How long a read takes, and the write of each table. */
  readMs = 0;
  writeMs = 0;
  writes = 0;
  looks = 0;
  /** Answers of the canaries. */
  readonly told: string[] = [];
  readonly clock = new FakeClock();
  readonly watch: DriftWatch;
  readonly tables: KernelTables;

  constructor({ generation = 7, legacy = false } = {}) {
    this.generation = generation;
    this.watch = new DriftWatch({
      clock: this.clock,
      ...(legacy ? {} : { readGeneration: () => this.readGeneration() }),
      lookForFlush: () => this.look(),
      onLook: ({ kind }) => this.told.push(kind),
      fullCheckMs: 30_000,
      readShare: 0.1,
    });
    this.tables = watchedTables(this.watch, {
      variant: legacy ? 'legacy' : 'nft',
      save: async () => {
        await this.clock.sleep(this.readMs);
        return noRules();
      },
      restore: async (input) => {
        for (let left = input.match(/^COMMIT$/gm)?.length ?? 0; left > 0; left--) {
          await this.clock.sleep(this.writeMs);
          this.move();
        }
        this.writes++;
      },
      canariesStand: () => this.look(),
    });
  }

  move(by = 1): void {
    this.generation = (this.generation + by) % 2 ** 32;
  }

  async write(tables: 1 | 2 = 2): Promise<void> {
    const done = this.tables.restore(['*nat\nCOMMIT\n', '*filter\nCOMMIT\n'].slice(0, tables).join(''));
    await this.clock.advance(tables * this.writeMs);
    await done;
  }

  async read(): Promise<void> {
    const done = this.tables.save();
    await this.clock.advance(this.readMs);
    await done;
  }

  private readGeneration(): Promise<number> {
    return this.netlink === 'works' ? Promise.resolve(this.generation) : Promise.reject(new Error('ENOBUFS'));
  }

  private look(): Promise<Answer<true>> {
    this.looks++;
    if (this.looksCount) this.move();
    const { canaries } = this;
    return Promise.resolve(
      canaries === 'cannot tell' ? unknown('iptables-nft-restore: exit 3') : canaries ? found(true) : absent,
    );
  }
}

async function started(options?: ConstructorParameters<typeof Kernel>[0]): Promise<Kernel> {
  const kernel = new Kernel(options);
  await kernel.watch.start();
  await kernel.read();
  return kernel;
}

describe('by the generation', () => {
  test('our own writes are not foreign', async () => {
    const kernel = await started();
    expect(await kernel.watch.shouldRead()).toBe(false);
    for (const tables of [1, 2, 2, 1] as const) {
      await kernel.write(tables);
      expect(await kernel.watch.shouldRead()).toBe(false);
    }
    expect(kernel.looks).toBe(0);
  });

  test('nor are they where somebody looks in the middle of one', async () => {
    const kernel = await started();
    kernel.writeMs = 1000;
    const done = kernel.tables.restore('*nat\nCOMMIT\n*filter\nCOMMIT\n');
    await kernel.clock.advance(1500);
    expect(kernel.generation).toBe(8);
    expect(await kernel.watch.shouldRead()).toBe(false);
    await kernel.clock.advance(500);
    await done;
    expect(await kernel.watch.shouldRead()).toBe(false);
  });

  test.each([
    [
      'between our writes',
      (kernel: Kernel) => {
        kernel.move();
        return Promise.resolve();
      },
    ],
    [
      'right before one',
      async (kernel: Kernel) => {
        kernel.move();
        await kernel.write();
      },
    ],
    [
      'during one',
      async (kernel: Kernel) => {
        kernel.writeMs = 100;
        const done = kernel.write();
        kernel.move();
        await done;
      },
    ],
    [
      'between the start and the first write',
      async (kernel: Kernel) => {
        kernel.move();
        await kernel.write();
        await kernel.write();
      },
    ],
  ])('a foreign write %s leads to one read', async (_, happen) => {
    const kernel = await started();
    await happen(kernel);
    expect(await kernel.watch.shouldRead()).toBe(true);
    await kernel.read();
    expect(await kernel.watch.shouldRead()).toBe(false);
  });

  test('the counter wraps past 0', async () => {
    const kernel = await started({ generation: 2 ** 32 - 1 });
    await kernel.write();
    expect(kernel.generation).toBe(1);
    expect(await kernel.watch.shouldRead()).toBe(false);
    kernel.generation = 2 ** 32 - 1;
    expect(await kernel.watch.shouldRead()).toBe(true);
  });

  test('reads are rationed to a tenth of the time, and meanwhile a flush is seen at once', async () => {
    const kernel = await started();
    kernel.readMs = 500;
    const readAt: number[] = [];
    const startMs = kernel.clock.now();
    for (let second = 0; second < 30; second++) {
      kernel.move();
      if (await kernel.watch.shouldRead()) {
        readAt.push((kernel.clock.now() - startMs) / 1000);
        await kernel.read();
      }
      await kernel.clock.advance(1000);
    }
    expect(readAt.length).toBeGreaterThanOrEqual(5);
    // Two of them from what was saved up.
    expect(readAt.length).toBeLessThanOrEqual(9);
    kernel.move();
    kernel.canaries = false;
    expect(await kernel.watch.shouldRead()).toBe(true);
  });

  test('what was seen while reads were rationed is not forgotten', async () => {
    const kernel = await started();
    kernel.looksCount = true;
    kernel.readMs = 1500;
    await kernel.read();
    kernel.move();
    expect(await kernel.watch.shouldRead()).toBe(false);
    await kernel.clock.advance(6000);
    expect(await kernel.watch.shouldRead()).toBe(true);
    await kernel.read();
    await kernel.clock.advance(60_000);
    expect(await kernel.watch.shouldRead()).toBe(false);
  });

  test('a write that failed leaves no doubt but one read', async () => {
    const kernel = await started();
    const tables = watchedTables(kernel.watch, {
      ...kernel.tables,
      restore: () => {
        kernel.move();
        return Promise.reject(new Error('the second table failed'));
      },
    });
    await expect(tables.restore('*nat\nCOMMIT\n*filter\nCOMMIT\n')).rejects.toThrow('second table');
    expect(await kernel.watch.shouldRead()).toBe(true);
    await kernel.read();
    await kernel.write();
    expect(await kernel.watch.shouldRead()).toBe(false);
  });

  test('a counter that cannot be asked does not stop a write, and leads to a read when it can be again', async () => {
    const kernel = await started();
    kernel.netlink = 'fails';
    await kernel.write();
    expect(kernel.writes).toBe(1);
    kernel.netlink = 'works';
    expect(await kernel.watch.shouldRead()).toBe(true);
  });

  test('where it cannot be asked any more, everything is read every 30 s, and a flush is seen at once', async () => {
    const kernel = await started();
    kernel.netlink = 'fails';
    await kernel.write();
    for (let round = 0; round < 2; round++) {
      await kernel.clock.advance(30_000);
      expect(await kernel.watch.shouldRead()).toBe(true);
      await kernel.read();
      expect(await kernel.watch.shouldRead()).toBe(false);
    }
    kernel.canaries = false;
    expect(await kernel.watch.shouldRead()).toBe(true);
  });

  test('a counter that could not be asked at the start does not stop the daemon', async () => {
    const kernel = new Kernel();
    kernel.netlink = 'fails';
    await expect(kernel.watch.start()).resolves.toBeUndefined();
  });
});

describe('in the legacy variant', () => {
  test('everything is read every 30 s, from the end of the read before', async () => {
    const kernel = await started({ legacy: true });
    kernel.readMs = 2000;
    await kernel.clock.advance(29_999);
    expect(await kernel.watch.shouldRead()).toBe(false);
    await kernel.clock.advance(1);
    expect(await kernel.watch.shouldRead()).toBe(true);
    await kernel.read();
    await kernel.clock.advance(29_000);
    expect(await kernel.watch.shouldRead()).toBe(false);
    await kernel.clock.advance(1000);
    expect(await kernel.watch.shouldRead()).toBe(true);
  });

  test('canaries that cannot be asked are no flush: it is said, and they are asked again at the next look', async () => {
    const kernel = await started({ legacy: true });
    for (const told of ['cannot tell', true, 'cannot tell'] as const) {
      kernel.canaries = told;
      expect(await kernel.watch.shouldRead()).toBe(false);
    }
    expect(kernel.told).toEqual(['unknown', 'found', 'unknown']);
    kernel.canaries = false;
    expect(await kernel.watch.shouldRead()).toBe(true);
    expect(kernel.told.at(-1)).toBe('absent');
  });

  test('a flush is seen at the next look', async () => {
    const kernel = await started({ legacy: true });
    expect(await kernel.watch.shouldRead()).toBe(false);
    kernel.canaries = false;
    expect(await kernel.watch.shouldRead()).toBe(true);
  });
});
