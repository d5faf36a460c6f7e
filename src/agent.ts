/** The composition root of the daemon: a source, a backend a family, what reconciles them, and what tells about it. */
import { AgentNode, nodeWaits, readHostAddresses } from './agent-node';
import type { AgentTelemetry } from './agent-telemetry';
import type { ProxyConfiguration } from './config/configuration';
import type { Clock } from './host/clock';
import type { Conntrack } from './host/conntrack';
import type { Family } from './model/address';
import type { ClusterChange, ClusterWarning } from './model/cluster';
import { type Machine, MachineLoops, repeat } from './machine-loops';
import { ClusterStore } from './model/cluster-store';
import type { ClusterSink, Source } from './sources/source';
import type { Logger } from './telemetry/log';

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

const mostWarned = 1000;

export class Agent implements ClusterSink {
  private readonly store: ClusterStore;
  private loops: MachineLoops | undefined;
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
      ...(this.loops === undefined ? ['the tools of this machine have not answered yet'] : []),
      ...(this.node.lacksPodCIDRs() ? [`Node ${nodeName} has no podCIDRs yet`] : []),
      ...(this.lacksAddresses() ? [`Node ${nodeName} has no addresses yet`] : []),
    ];
  }

  /** The source lists while the machine is looked at. Rejects where that fails. */
  async start(openMachine: () => Promise<Machine>): Promise<void> {
    this.options.source.start(this);
    await this.readHostAddresses();
    await this.open(openMachine);
    const { clock, log } = this.options;
    const pauseMs = (): number => this.node.addressPauseMs;
    void repeat({ clock, log, signal: this.stopping.signal, pauseMs, work: () => this.readHostAddresses() });
  }

  /** Ends after the write in hand. */
  async stop(): Promise<void> {
    this.stopping.abort();
    const loops = this.loops?.stop();
    await this.options.source.stop();
    await loops;
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

  private async open(openMachine: () => Promise<Machine>): Promise<void> {
    const { configuration, clock, log, telemetry, conntrack, showBatch } = this.options;
    const loops = new MachineLoops({
      machine: await openMachine(),
      schedule: { minPeriodMs: configuration.minSyncPeriodMs, maxRetryMs: configuration.syncPeriodMs },
      state: this.store,
      settings: () => this.node.settings,
      hostAddresses: () => this.node.hostAddresses,
      clock,
      log,
      telemetry,
      conntrack,
      showBatch,
      onWarning: (warning) => this.warn(warning),
    });
    await loops.open();
    this.loops = loops;
    this.begin();
  }

  private takeChanges(): void {
    const { services, nodes, triggerTimesMs } = this.store.takeChanged();
    if (nodes) {
      const node = this.node.object;
      if (node !== undefined) this.options.telemetry.nodeChanged(node);
      this.resettle();
      this.begin();
    }
    if (services.size > 0) this.loops?.servicesChanged(services, triggerTimesMs);
  }

  /** Starts the first round, where all that it needs is known. */
  private begin(): void {
    const { loops, node } = this;
    if (this.hasBegun || loops === undefined || !this.isSynced) return;
    if (node.lacksPodCIDRs() || this.lacksAddresses()) return;
    const problem = node.checkFamilies(loops.families);
    if (problem !== undefined) {
      this.fail(new Error(problem));
      return;
    }
    this.hasBegun = true;
    loops.begin();
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
    if (this.hasBegun && this.node.resettle()) this.loops?.settingsChanged();
  }

  private async readHostAddresses(): Promise<void> {
    if (await this.node.readAddresses()) this.resettle();
  }
}
