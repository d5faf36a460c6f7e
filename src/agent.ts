/** The composition root of the daemon: a source, a backend a family, what reconciles them, and what tells about it. */
import PQueue from 'p-queue';
import { AgentNode, nodeWaits, readHostAddresses } from './agent-node';
import type { AgentTelemetry } from './agent-telemetry';
import type { Backend } from './backends/backend';
import type { ProxyConfiguration } from './config/configuration';
import type { Clock } from './host/clock';
import type { Conntrack } from './host/conntrack';
import type { Family } from './model/address';
import type { ClusterChange, ClusterWarning } from './model/cluster';
import { ClusterStore } from './model/cluster-store';
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
  /** Default: this machine's, canonical. */
  readonly readHostAddresses?: () => Promise<readonly string[]>;
  /** The source may have no Node, and is not waited for. */
  readonly needsNoNode?: boolean;
}

/** What is on this machine to write to. */
export interface Machine {
  /** Of the families that it has. */
  readonly backends: ReadonlyMap<Family, Backend<unknown>>;
  /** Not in a dry run. */
  readonly drift?: DriftWatch;
}

const tendMs = 5000;
const mostWarned = 1000;
interface FamilyLoop {
  readonly reconciler: Reconciler<unknown>;
  readonly flows: StaleFlowCleaner | undefined;
}

export class Agent implements ClusterSink {
  private readonly store: ClusterStore;
  private machine: Machine | undefined;
  private readonly loops = new Map<Family, FamilyLoop>();
  private readonly stopping = new AbortController();
  private readonly node: AgentNode;
  private warned = new Set<string>();
  private isSynced = false;
  private hasBegun = false;
  /** Rejects where the daemon cannot go on. */
  readonly failed: Promise<never>;
  private fail!: (error: Error) => void;

  constructor(private readonly options: AgentOptions) {
    const { configuration, nodeName } = options;
    this.store = new ClusterStore(options.clock.now());
    this.node = new AgentNode({
      configuration,
      nodeName,
      findNode: () => this.store.nodes.get(nodeName),
      readAddresses: options.readHostAddresses ?? readHostAddresses,
      onWarning: (kind, message) => this.warnOfNode(kind, message),
    });
    this.failed = new Promise((_, reject) => {
      this.fail = reject;
    });
    this.failed.catch(() => undefined);
  }

  get state(): ClusterStore {
    return this.store;
  }

  /** What the first round waits for; empty once it may begin. */
  waitingFor(): string[] {
    if (this.hasBegun) return [];
    const { nodeName } = this.options;
    return [
      ...(this.isSynced ? [] : ['Services and EndpointSlices are not all known yet']),
      ...(this.machine === undefined ? ['the tools of this machine have not answered yet'] : []),
      ...(this.node.lacksPodCIDRs() ? [`Node ${nodeName} has no podCIDRs yet`] : []),
      ...(this.lacksAddresses() ? [`Node ${nodeName} has no addresses yet`] : []),
    ];
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
    void this.every(
      () => this.node.addressPauseMs,
      () => this.readHostAddresses(),
    );
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

  warn(warning: ClusterWarning): void {
    const { object, kind, message } = warning;
    this.options.telemetry.warned(warning);
    // Once an object and fault: a relist brings all of them again.
    const line = `${object}: ${message}`;
    if (this.warned.has(line)) return;
    if (this.warned.size >= mostWarned) this.warned.clear();
    this.warned.add(line);
    this.options.log.warn({ object, kind }, message);
  }

  /** Counted once, too: settings are planned again and again. */
  private warnOfNode(kind: string, message: string): void {
    if (this.warned.has(message)) return;
    this.warned.add(message);
    this.options.telemetry.warned({ object: 'this node', kind, message });
    this.options.log.warn({ kind }, message);
  }

  synced(): void {
    this.isSynced = true;
    this.takeChanges();
    this.begin();
    void this.waitForPodCIDRs();
    void this.waitForAddresses();
  }

  private makeLoop(family: Family, backend: Backend<unknown>, queue: PQueue): FamilyLoop {
    const { configuration, clock, telemetry, conntrack, log, showBatch } = this.options;
    const flows =
      conntrack === undefined
        ? undefined
        : new StaleFlowCleaner({
            family,
            conntrack,
            nodeAddresses: () => new Set(this.node.hostAddresses),
            log,
            onCleaned: (of, count, ms) => telemetry.flowsDeleted(of, count, ms),
          });
    const reconciler = new Reconciler({
      family,
      backend,
      state: this.store,
      settings: () => this.node.settings,
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
      const node = this.node.object;
      if (node !== undefined) this.options.telemetry.nodeChanged(node);
      this.resettle();
      this.begin();
    }
    if (services.size > 0)
      for (const { reconciler } of this.loops.values()) reconciler.servicesChanged(services, triggerTimesMs);
  }

  /** Starts the first round, where all that it needs is known. */
  private begin(): void {
    const { machine, node } = this;
    if (this.hasBegun || machine === undefined || !this.isSynced) return;
    if (node.lacksPodCIDRs() || this.lacksAddresses()) return;
    const problem = node.checkFamilies([...machine.backends.keys()]);
    if (problem !== undefined) {
      this.fail(new Error(problem));
      return;
    }
    this.hasBegun = true;
    for (const { reconciler } of this.loops.values()) reconciler.start();
  }

  private lacksAddresses(): boolean {
    return this.node.lacksAddresses() && this.options.needsNoNode !== true;
  }

  private async waitForPodCIDRs(): Promise<void> {
    const { clock, log, nodeName } = this.options;
    if (!this.node.lacksPodCIDRs()) return;
    log.info({ node: nodeName }, 'waiting for the Node to be given podCIDRs');
    await clock.sleep(nodeWaits.podCIDRsMs, this.stopping.signal);
    if (!this.node.lacksPodCIDRs() || this.stopping.signal.aborted) return;
    const what = this.node.object === undefined ? `there is no Node ${nodeName}` : `Node ${nodeName} has no podCIDRs`;
    this.fail(new Error(`${what} after ${nodeWaits.podCIDRsMs / 60_000} minutes (detectLocalMode NodeCIDR)`));
  }

  private async waitForAddresses(): Promise<void> {
    const { clock, log, nodeName, needsNoNode } = this.options;
    if (!this.node.lacksAddresses() || needsNoNode === true) return;
    log.info({ node: nodeName }, 'waiting for the addresses of the Node (nodePortAddresses primary)');
    await clock.sleep(nodeWaits.addressesMs, this.stopping.signal);
    if (!this.node.lacksAddresses() || this.stopping.signal.aborted) return;
    log.warn({ node: nodeName }, 'the Node has no address: NodePorts answer on every address until it has');
    this.node.goWithoutAddresses();
    this.begin();
  }

  /** The node or its addresses are others: everything is planned anew, where that makes a difference. */
  private resettle(): void {
    if (!this.hasBegun || !this.node.resettle()) return;
    for (const { reconciler } of this.loops.values()) reconciler.settingsChanged();
  }

  private async readHostAddresses(): Promise<void> {
    if (await this.node.readAddresses()) this.resettle();
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

  private async every(pauseMs: number | (() => number), work: () => Promise<void>): Promise<void> {
    const { clock, log } = this.options;
    const { signal } = this.stopping;
    for (;;) {
      await clock.sleep(typeof pauseMs === 'number' ? pauseMs : pauseMs(), signal);
      if (signal.aborted) return;
      await work().catch((error: unknown) =>
        log.warn({ reason: (error as Error).message }, 'a check of this machine failed'),
      );
    }
  }
}
