/** A reconciler over tables in memory, with time and failures in the test's hands. */
import PQueue from 'p-queue';
import { IptablesBackend } from '../../src/backends/iptables/backend';
import type { ClusterChange } from '../../src/model/cluster';
import { ClusterStore } from '../../src/model/cluster-store';
import type { NodeSettings } from '../../src/planner/plan';
import { planCluster } from '../../src/planner/plan-cluster';
import { Reconciler } from '../../src/reconciler/reconciler';
import type { SyncFailure } from '../../src/reconciler/reconciler-options';
import type { SyncReport } from '../../src/reconciler/sync-report';
import type { Step } from '../../src/xtables/rules';
import type { KernelTables } from '../../src/xtables/kernel-tables';
import { makeEndpoint, makeService, makeSlice } from '../support/cluster-objects';
import { FakeIptables } from '../support/fake-iptables';
import { FakeClock } from './fake-clock';
import { iptablesSettings, makeSettings } from '../support/settings';

const schedule = { minPeriodMs: 1000, maxRetryMs: 30_000 };

export interface LoopOptions {
  readonly tables?: FakeIptables;
  readonly store?: ClusterStore;
  readonly clock?: FakeClock;
  /** How long a write takes: what comes meanwhile comes during a round. */
  readonly writeMs?: number;
  readonly dryRun?: boolean;
  /** Asked between two pieces of a round's work. */
  readonly pause?: () => Promise<void> | undefined;
}

export class Loop {
  readonly tables: FakeIptables;
  readonly store: ClusterStore;
  readonly clock: FakeClock;
  readonly backend: IptablesBackend;
  readonly reconciler: Reconciler<readonly Step[]>;
  readonly reports: SyncReport[] = [];
  readonly failures: SyncFailure[] = [];
  readonly batches: string[] = [];
  settings: NodeSettings = makeSettings();
  reads = 0;
  queued = 0;

  constructor({ tables, store, clock, writeMs = 0, dryRun = false, pause }: LoopOptions = {}) {
    this.tables = tables ?? new FakeIptables();
    this.store = store ?? new ClusterStore(0);
    this.clock = clock ?? new FakeClock();
    this.backend = new IptablesBackend('IPv4', iptablesSettings, this.slowly(writeMs));
    this.reconciler = new Reconciler({
      family: 'IPv4',
      backend: this.backend,
      state: this.store,
      settings: () => this.settings,
      queue: new PQueue({ concurrency: 1 }),
      clock: this.clock,
      schedule: () => schedule,
      dryRun,
      ...(pause === undefined ? {} : { pauses: () => pause }),
      onSynced: (report) => this.reports.push(report),
      onFailed: (failure) => this.failures.push(failure),
      onQueued: () => this.queued++,
      onBatch: (text) => this.batches.push(text()),
    });
  }

  /** Tells the store and the reconciler, as the agent does. */
  change(...changes: readonly ClusterChange[]): void {
    this.store.apply(changes);
    const { services, triggerTimesMs } = this.store.takeChanged();
    if (services.size > 0) this.reconciler.servicesChanged(services, triggerTimesMs);
  }

  set(...objects: readonly Extract<ClusterChange, { op: 'set' }>['object'][]): void {
    this.change(...objects.map((object) => ({ op: 'set', object }) as const));
  }

  changeSettings(over: Partial<NodeSettings>): void {
    this.settings = makeSettings(over);
    this.reconciler.settingsChanged();
  }

  /** Starts, and lets the first round be done. */
  async begin(): Promise<void> {
    this.reconciler.start();
    await this.clock.advance(schedule.minPeriodMs);
  }

  lastReport(): SyncReport {
    const report = this.reports.at(-1);
    if (report === undefined) throw new Error('no round was reported');
    return report;
  }

  /** As iptables-save; the order of chains tells who came first. */
  kernel(): string[] {
    return this.tables.print().split('\n').sort();
  }

  /** What a process that starts on an empty machine writes for the cluster as it is now. */
  async fresh(): Promise<string[]> {
    const tables = new FakeIptables();
    const backend = new IptablesBackend('IPv4', iptablesSettings, tables);
    backend.render(planCluster(this.store, 'IPv4', this.settings));
    await backend.apply(backend.diff() ?? []);
    return tables.print().split('\n').sort();
  }

  private slowly(writeMs: number): KernelTables {
    return {
      variant: this.tables.variant,
      save: () => {
        this.reads++;
        return this.tables.save();
      },
      restore: async (input) => {
        if (writeMs > 0) await this.clock.sleep(writeMs);
        await this.tables.restore(input);
      },
      canariesStand: () => this.tables.canariesStand(),
    };
  }
}

export const web = makeService();
/** The endpoint of `web`. */
export const at = (address: string, triggerMs?: number): ReturnType<typeof makeSlice> =>
  makeSlice([makeEndpoint(address)], triggerMs === undefined ? {} : { lastChangeTriggerMs: triggerMs });

/** The first round is done, with one endpoint, 10.0.0.1. */
export async function running(options: LoopOptions = {}): Promise<Loop> {
  const loop = new Loop(options);
  loop.set(web, at('10.0.0.1'));
  await loop.begin();
  expect(loop.reports).toHaveLength(1);
  return loop;
}
