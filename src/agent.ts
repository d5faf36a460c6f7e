/** The composition root of the daemon: a source, a backend a family, what reconciles them, and what tells about it. */
import PQueue from 'p-queue';
import type { AgentTelemetry } from './agent-telemetry';
import type { Backend } from './backends/backend';
import type { ProxyConfiguration } from './config/configuration';
import type { Clock } from './host/clock';
import type { Conntrack } from './host/conntrack';
import { runCommand } from './host/command';
import { readInterfaceAddresses } from './host/interfaces';
import type { Family } from './model/address';
import type { ClusterChange, ClusterWarning, Node } from './model/cluster';
import { ClusterStore } from './model/cluster-store';
import { sameValue } from './model/same-value';
import { type NodeConfig, planNodeSettings } from './planner/node-settings';
import type { NodeSettings } from './planner/plan';
import { Reconciler } from './reconciler/reconciler';
import { StaleFlowCleaner } from './reconciler/stale-flow-cleaner';
import type { SyncReport } from './reconciler/sync-report';
import type { ClusterSink, Source } from './sources/source';
import type { Logger } from './telemetry/log';
import type { DriftWatch } from './xtables/drift';

export interface AgentOptions {
  readonly configuration: ProxyConfiguration;
  readonly nodeName: string;
  readonly source: Source;
  readonly clock: Clock;
  readonly log: Logger;
  readonly telemetry: AgentTelemetry;
  /** Not in a dry run. */
  readonly conntrack?: Conntrack;
  /** Dry run: what would be written. */
  readonly showBatch?: (family: Family, text: string) => void;
}

/** What is on this machine to write to. */
export interface Machine {
  /** Of the families that it has. */
  readonly backends: ReadonlyMap<Family, Backend<unknown>>;
  /** Not in a dry run. */
  readonly drift?: DriftWatch;
}

const addressPollMs = 10_000;
const tendMs = 5000;
/** Its addresses are VIPs, not the node's own. */
const ipvsDevice = 'kube-ipvs0';
const mostWarned = 1000;
/** kube-proxy waits as long for the Node's podCIDRs in mode NodeCIDR. */
const podCIDRWaitMs = 5 * 60_000;

interface FamilyLoop {
  readonly reconciler: Reconciler<unknown>;
  readonly flows: StaleFlowCleaner | undefined;
}

/** What the planner is told of the configuration. */
export function nodeConfigOf(configuration: ProxyConfiguration, nodeName: string): NodeConfig {
  return { ...configuration, hostname: nodeName, needsHostAddresses: configuration.mode === 'ipvs' };
}

export class Agent implements ClusterSink {
  private readonly store: ClusterStore;
  private machine: Machine | undefined;
  private readonly loops = new Map<Family, FamilyLoop>();
  private readonly stopping = new AbortController();
  /** undefined until the first round. */
  private settings: NodeSettings | undefined;
  private lastNode: Node | undefined;
  private hostAddresses: readonly string[] = [];
  private warned = new Set<string>();
  private isSynced = false;
  private hasBegun = false;
  /** Rejects where the daemon cannot go on. */
  readonly failed: Promise<never>;
  private fail!: (error: Error) => void;

  constructor(private readonly options: AgentOptions) {
    this.store = new ClusterStore(options.clock.now());
    this.failed = new Promise((_, reject) => {
      this.fail = reject;
    });
    this.failed.catch(() => undefined);
  }

  get state(): ClusterStore {
    return this.store;
  }

  /** The source lists while the machine is looked at. Rejects where that fails. */
  async start(openMachine: () => Promise<Machine>): Promise<void> {
    this.options.source.start(this);
    await this.readHostAddresses();
    const machine = await openMachine();
    this.machine = machine;
    await machine.drift?.start();
    const queue = new PQueue({ concurrency: 1 });
    for (const [family, backend] of machine.backends) {
      const loop = this.makeLoop(family, backend, queue);
      this.loops.set(family, loop);
      void loop.reconciler.readAhead();
    }
    this.begin();
    void this.every(addressPollMs, () => this.readHostAddresses());
    const { drift } = machine;
    if ([...machine.backends.values()].some((backend) => 'tend' in backend)) void this.every(tendMs, () => this.tend());
    if (drift !== undefined) void this.every(drift.pollMs, () => this.lookForDrift(drift));
  }

  /** Ends after the write in hand. */
  async stop(): Promise<void> {
    this.stopping.abort();
    const writers = [...this.loops.values()].map(({ reconciler }) => reconciler.stop());
    await this.options.source.stop();
    await Promise.all(writers);
    for (const { flows } of this.loops.values()) await flows?.stop();
    this.options.conntrack?.close();
  }

  apply(changes: readonly ClusterChange[]): void {
    this.store.apply(changes);
    this.options.telemetry.changed(changes);
    if (this.isSynced) this.takeChanges();
  }

  warn({ object, kind, message }: ClusterWarning): void {
    this.options.telemetry.warned(kind);
    // Once an object and fault: a relist brings all of them again.
    const line = `${object}: ${message}`;
    if (this.warned.has(line)) return;
    if (this.warned.size >= mostWarned) this.warned.clear();
    this.warned.add(line);
    this.options.log.warn({ object, kind }, message);
  }

  synced(): void {
    this.isSynced = true;
    this.takeChanges();
    this.begin();
    void this.waitForPodCIDRs();
  }

  private makeLoop(family: Family, backend: Backend<unknown>, queue: PQueue): FamilyLoop {
    const { configuration, clock, telemetry, conntrack, log, showBatch } = this.options;
    const flows =
      conntrack === undefined
        ? undefined
        : new StaleFlowCleaner({
            family,
            conntrack,
            nodeAddresses: () => new Set(this.hostAddresses),
            log,
            onCleaned: (of, count, ms) => telemetry.flowsDeleted(of, count, ms),
          });
    const reconciler = new Reconciler({
      family,
      backend,
      state: this.store,
      settings: () => (this.settings ??= this.planSettings()),
      queue,
      clock,
      schedule: { minPeriodMs: configuration.minSyncPeriodMs, maxRetryMs: configuration.syncPeriodMs },
      onWarning: (warning) => this.warn(warning),
      onQueued: () => telemetry.queued(family),
      onFailed: (failure) => telemetry.failed(failure),
      onSynced: (report) => this.roundEnded(report),
      ...(showBatch === undefined ? {} : { dryRun: true, onBatch: (text) => showBatch(family, text()) }),
    });
    return { reconciler: reconciler, flows };
  }

  private roundEnded(report: SyncReport): void {
    const loop = this.loops.get(report.family);
    if (loop === undefined) return;
    const { reconciler, flows } = loop;
    const plan = reconciler.currentPlan;
    const backend = this.machine?.backends.get(report.family);
    if (plan !== undefined && backend !== undefined) this.options.telemetry.synced(report, plan, backend.ruleCounts());
    flows?.synced(report, () => reconciler.currentPlan);
  }

  private takeChanges(): void {
    const { services, nodes, triggerTimesMs } = this.store.takeChanged();
    if (nodes) {
      // A Node that is deleted stays what it was, as in kube-proxy.
      const node = this.node();
      if (node !== undefined) this.options.telemetry.nodeChanged(node);
      this.resettle();
      this.begin();
    }
    if (services.size > 0)
      for (const { reconciler } of this.loops.values()) reconciler.servicesChanged(services, triggerTimesMs);
  }

  /** Starts the first round, where all that it needs is known. */
  private begin(): void {
    if (this.hasBegun) return;
    if (this.machine === undefined || !this.isSynced || !this.hasPodCIDRs()) return;
    this.hasBegun = true;
    for (const { reconciler } of this.loops.values()) reconciler.start();
  }

  /** In mode NodeCIDR nothing could be told about sources without them. */
  private hasPodCIDRs(): boolean {
    return this.options.configuration.detectLocalMode !== 'NodeCIDR' || (this.node()?.podCIDRs ?? []).length > 0;
  }

  private async waitForPodCIDRs(): Promise<void> {
    const { clock, log, nodeName } = this.options;
    if (this.hasPodCIDRs()) return;
    log.info({ node: nodeName }, 'waiting for the Node to be given podCIDRs');
    await clock.sleep(podCIDRWaitMs, this.stopping.signal);
    if (!this.hasPodCIDRs() && !this.stopping.signal.aborted)
      this.fail(
        new Error(
          `Node ${nodeName} has no podCIDRs after ${podCIDRWaitMs / 60_000} minutes (detectLocalMode NodeCIDR)`,
        ),
      );
  }

  /** One that is deleted stays what it was, as in kube-proxy. */
  private node(): Node | undefined {
    return (this.lastNode = this.store.nodes.get(this.options.nodeName) ?? this.lastNode);
  }

  private planSettings(): NodeSettings {
    const { settings, warnings } = planNodeSettings(
      nodeConfigOf(this.options.configuration, this.options.nodeName),
      this.node(),
      this.hostAddresses,
    );
    for (const { kind, message } of warnings) {
      if (this.warned.has(message)) continue;
      this.warned.add(message);
      this.options.telemetry.warned(kind);
      this.options.log.warn({ kind }, message);
    }
    return settings;
  }

  /** The node or its addresses are others: everything is planned anew, where that makes a difference. */
  private resettle(): void {
    if (!this.hasBegun) return;
    const settings = this.planSettings();
    if (sameValue(settings, this.settings)) return;
    this.settings = settings;
    for (const { reconciler } of this.loops.values()) reconciler.settingsChanged();
  }

  private async readHostAddresses(): Promise<void> {
    this.hostAddresses = (await readInterfaceAddresses(runCommand, ipvsDevice)).map(({ address }) => address);
    this.resettle();
  }

  private async tend(): Promise<void> {
    for (const { reconciler } of this.loops.values()) await reconciler.tend();
  }

  private async lookForDrift(drift: DriftWatch): Promise<void> {
    if (!this.hasBegun || !(await drift.shouldRead())) return;
    let looked = false;
    try {
      const looks: boolean[] = [];
      for (const { reconciler } of this.loops.values()) looks.push(await reconciler.checkKernel());
      looked = looks.every(Boolean);
    } finally {
      if (!looked) drift.askAgain();
    }
  }

  private async every(periodMs: number, work: () => Promise<void>): Promise<void> {
    const { clock, log } = this.options;
    const { signal } = this.stopping;
    for (;;) {
      await clock.sleep(periodMs, signal);
      if (signal.aborted) return;
      await work().catch((error: unknown) =>
        log.warn({ reason: (error as Error).message }, 'a check of this machine failed'),
      );
    }
  }
}
