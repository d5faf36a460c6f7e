/** The composition root of the daemon: a source, a backend a family, what reconciles them, and what tells about it. */
import { HostAddresses } from './agent-addresses';
import { AgentNode, thisMachine } from './agent-node';
import type { AgentTelemetry } from './agent-telemetry';
import type { ProxyConfiguration } from '../config/configuration';
import type { Clock } from '../host/clock';
import type { Conntrack } from '../host/conntrack';
import type { Family } from '../model/address';
import type { ClusterChange, ClusterWarning } from '../model/cluster';
import { MachineLoops } from './machine-loops';
import type { Machine } from '../machine/machine';
import { ClusterStore } from '../model/cluster-store';
import { NodeWaits } from './node-waits';
import { VipsOfNodes } from './vips-of-nodes';
import { WarnOnce } from './warn-once';
import type { Plan } from '../planner/plan';
import type { ScheduleSettings } from '../reconciler/schedule';
import type { ClusterSink, Source } from '../sources/source';
import { modes } from '../modes/modes';
import type { Logger } from '../telemetry/log';
import { OpenQuestions } from '../telemetry/open-questions';

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
  /** Default: of its own, which are logged alone. */
  readonly questions?: OpenQuestions;
  /** Default: this machine's, canonical. */
  readonly readHostAddresses?: () => Promise<readonly string[]>;
  /** The source may have no Node, and is not waited for. */
  readonly needsNoNode?: boolean;
}

function scheduleOf({ minSyncPeriodMs, syncPeriodMs }: ProxyConfiguration): ScheduleSettings {
  return { minPeriodMs: minSyncPeriodMs, maxRetryMs: syncPeriodMs };
}

/** Also those that cannot be opened yet: they are not missing. */
function knownFamilies({ families, unserved }: MachineLoops): readonly Family[] {
  return [...new Set([...families, ...unserved.keys()])];
}

export class Agent implements ClusterSink {
  private readonly store: ClusterStore;
  private configuration: ProxyConfiguration;
  private loops: MachineLoops | undefined;
  /** Of the present loops, where they could begin: whether they went well. */
  private firstRounds: Promise<boolean> = Promise.resolve(true);
  private readonly stopping = new AbortController();
  private readonly node: AgentNode;
  private readonly addresses: HostAddresses;
  private readonly questions: OpenQuestions;
  /** Only where the source tells of all Nodes. */
  private readonly vips: VipsOfNodes | undefined;
  private readonly warnings: WarnOnce;
  private isSynced = false;
  private hasBegun = false;
  /** What the machine before wrote is in force. */
  private isReplacing = false;
  /** Rejects where the daemon cannot go on. */
  readonly failed: Promise<never>;
  private fail!: (error: Error) => void;

  constructor(private readonly options: AgentOptions) {
    const { configuration, nodeName } = options;
    this.configuration = configuration;
    this.store = new ClusterStore(options.clock.epochMs());
    this.questions = options.questions ?? new OpenQuestions(options.log);
    this.warnings = new WarnOnce(options.log, (warning) => options.telemetry.warned(warning));
    this.addresses = new HostAddresses({
      clock: options.clock,
      questions: this.questions,
      onChange: () => {
        void this.resettle();
        this.begin();
      },
      ...(options.readHostAddresses === undefined ? thisMachine : { read: options.readHostAddresses }),
    });
    this.node = new AgentNode({
      configuration,
      nodeName,
      findNode: () => this.store.nodes.get(nodeName),
      hostAddresses: () => this.addresses.addresses,
      onWarning: (kind, message) => this.warnings.ofNode(kind, message),
    });
    const list = options.source.listNodeAddresses?.bind(options.source);
    if (list !== undefined)
      this.vips = new VipsOfNodes({
        ...{ list, clock: options.clock, questions: this.questions, signal: this.stopping.signal },
        services: this.store.services,
        bindsAddresses: () => this.loops?.bindsAddresses === true,
        hostAddresses: () => this.addresses.addresses,
        onJudged: () => this.judgeAddresses(),
        warn: (warning) => this.warnings.ofObject(warning),
      });
    this.failed = new Promise((_, reject) => {
      this.fail = reject;
    });
    this.failed.catch(() => undefined);
  }

  /** In force or on their way; none before the first round. */
  get plans(): readonly Plan[] {
    return this.loops?.plans ?? [];
  }

  /** What the first round waits for; empty once it may begin. */
  waitingFor(): string[] {
    if (this.hasBegun || this.isReplacing) return [];
    const { nodeName } = this.options;
    return [
      ...(this.isSynced ? [] : ['Services and EndpointSlices are not all known yet']),
      ...(this.loops === undefined ? ['the tools of this machine have not answered yet'] : []),
      ...(this.vips?.isWaiting === true ? ['it is not known yet which addresses Nodes have'] : []),
      ...(this.node.lacksPodCIDRs() ? [`Node ${nodeName} has no podCIDRs yet`] : []),
      ...(this.addresses.isKnown ? [] : ['the addresses of this machine cannot be read']),
      ...(this.lacksAddresses() ? [`Node ${nodeName} has no addresses yet`] : []),
    ];
  }

  /** Why a family is not served that the Node or a Service needs. */
  unserved(): string[] {
    const { loops } = this;
    if (loops === undefined) return [];
    return [...loops.unserved].flatMap(([family, reason]) =>
      this.needs(family) ? [`${family} is not served: ${reason}`] : [],
    );
  }

  private needs(family: Family): boolean {
    if (this.node.primaryFamily === family) return true;
    for (const { notProxied, clusterIPs } of this.store.services.values())
      if (notProxied === undefined && clusterIPs[family] !== undefined) return true;
    return false;
  }

  /** The source lists while the machine is looked at. Rejects where that fails. */
  async start(openMachine: () => Promise<Machine>): Promise<void> {
    this.options.source.start(this);
    await this.addresses.start(this.stopping.signal);
    await this.open(openMachine);
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
    this.warnings.ofObject(warning);
  }

  synced(): void {
    this.isSynced = true;
    this.takeChanges();
    this.begin();
    void this.vips?.waitForNodes();
    const { nodeName, clock, log, needsNoNode } = this.options;
    new NodeWaits({ nodeName, clock, log, node: this.node, signal: this.stopping.signal }).start({
      // Manifests without any Node are meant so.
      needsNode: () => needsNoNode !== true || this.store.nodes.size > 0,
      needsAddresses: needsNoNode !== true,
      warn: (problem) => this.warnings.ofNode('no-node', problem),
      fail: (problem) => this.fail(new Error(problem)),
      goOn: () => this.begin(),
    });
  }

  /** Why this node cannot be served by such a configuration; undefined: it can. */
  refusal(configuration: ProxyConfiguration): string | undefined {
    const { nodeName, needsNoNode } = this.options;
    if (this.node.lacksPodCIDRs(configuration)) return `detectLocalMode: Node ${nodeName} has no podCIDRs`;
    if (this.node.lacksAddresses(configuration) && needsNoNode !== true)
      return `nodePortAddresses: Node ${nodeName} has no address`;
    return this.loops === undefined ? undefined : this.node.checkFamilies(knownFamilies(this.loops), configuration);
  }

  /** What the planner is told, and when rounds come. Resolves when it is in force; false: writing failed, and is tried again. */
  async configure(configuration: ProxyConfiguration): Promise<boolean> {
    this.configuration = configuration;
    this.node.configure(configuration);
    this.loops?.setSchedule(scheduleOf(configuration));
    return this.resettle();
  }

  /**
   * Another machine takes over what is in the kernel, as a fresh process would; until its first round is done, what the last
   * one wrote is in force. Resolves after that round; false: it failed, and is tried again. Rejects where the machine cannot be
   * opened: then there is none.
   */
  async replaceMachine(configuration: ProxyConfiguration, openMachine: () => Promise<Machine>): Promise<boolean> {
    const old = this.loops;
    this.loops = undefined;
    this.isReplacing = this.hasBegun;
    this.hasBegun = false;
    await old?.stop();
    this.configuration = configuration;
    this.node.configure(configuration);
    this.node.resettle();
    this.options.telemetry.restarted(modes[configuration.mode]);
    await this.open(openMachine);
    return this.firstRounds;
  }

  private async open(openMachine: () => Promise<Machine>): Promise<void> {
    const { clock, log, telemetry, conntrack, showBatch } = this.options;
    const loops = new MachineLoops({
      machine: await openMachine(),
      schedule: scheduleOf(this.configuration),
      state: this.store,
      settings: () => this.node.settings,
      hostAddresses: () => this.addresses.addresses,
      clock,
      log,
      telemetry,
      questions: this.questions,
      conntrack,
      showBatch,
      onWarning: (warning) => this.warn(warning),
    });
    await loops.open();
    if (this.stopping.signal.aborted) {
      await loops.stop();
      return;
    }
    this.loops = loops;
    if (this.vips !== undefined) loops.judgeAddresses(this.vips.judge);
    this.vips?.servicesChanged(this.store.services.keys());
    const firstRounds = loops.roundsOver('start');
    this.begin();
    this.firstRounds = this.hasBegun ? firstRounds : Promise.resolve(true);
  }

  private takeChanges(): void {
    const { services, nodes, triggerTimesMs } = this.store.takeChanged();
    if (nodes) {
      const node = this.node.object;
      if (node !== undefined) this.options.telemetry.nodeChanged(node);
      void this.resettle();
      this.begin();
    }
    if (services.size === 0) return;
    this.vips?.servicesChanged(services);
    this.loops?.servicesChanged(services, triggerTimesMs);
  }

  /** It may be known now, or be waited for no longer. */
  private judgeAddresses(): void {
    if (this.vips !== undefined) this.loops?.judgeAddresses(this.vips.judge);
    this.begin();
  }

  /** Starts the first round, where all that it needs is known. */
  private begin(): void {
    const { loops, node } = this;
    if (this.hasBegun || loops === undefined || !this.isSynced) return;
    // Without them a VIP could be bound that is the node's own, and NodePorts would be taken away.
    if (node.lacksPodCIDRs() || this.lacksAddresses() || !this.addresses.isKnown || this.vips?.isWaiting === true)
      return;
    const problem = node.checkFamilies(knownFamilies(loops));
    if (problem !== undefined) {
      this.fail(new Error(problem));
      return;
    }
    this.hasBegun = true;
    this.isReplacing = false;
    loops.begin();
  }

  private lacksAddresses(): boolean {
    return this.node.lacksAddresses() && this.options.needsNoNode !== true;
  }

  /** The node or its addresses are others: everything is planned anew, where that makes a difference. */
  private async resettle(): Promise<boolean> {
    if (!this.hasBegun || this.loops === undefined || !this.node.resettle()) return true;
    const rounds = this.loops.roundsOver('settings');
    this.loops.settingsChanged();
    return rounds;
  }
}
