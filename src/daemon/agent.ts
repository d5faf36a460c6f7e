/** The composition root of the daemon: a source, a backend a family, what reconciles them, and what tells about it. */
import { HostAddresses } from './agent-addresses';
import { AgentNode, ipvsDevice, nodeWaits, readHostAddresses } from './agent-node';
import type { AgentTelemetry } from './agent-telemetry';
import type { ProxyConfiguration } from '../config/configuration';
import { AddressMonitor } from '../host/address-monitor';
import type { Clock } from '../host/clock';
import type { Conntrack } from '../host/conntrack';
import type { Family } from '../model/address';
import type { ClusterChange, ClusterWarning, ServiceKey } from '../model/cluster';
import { MachineLoops } from './machine-loops';
import type { Machine } from '../machine/machine';
import { ClusterStore } from '../model/cluster-store';
import { NodeAddressBook } from './node-address-book';
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

const mostWarned = 1000;
/** The first round waits so long for the list of Nodes, where a Service has an external IP. */
const nodeListWaitMs = 5000;

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
  private readonly book: NodeAddressBook | undefined;
  /** The first round has waited long enough for it. */
  private isBookOverdue = false;
  private warned = new Set<string>();
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
    this.addresses = new HostAddresses({
      clock: options.clock,
      questions: this.questions,
      onChange: () => this.addressesChanged(),
      ...(options.readHostAddresses === undefined
        ? {
            read: readHostAddresses,
            monitor: (onChange) => new AddressMonitor({ except: ipvsDevice, onChange }),
          }
        : { read: options.readHostAddresses }),
    });
    this.node = new AgentNode({
      configuration,
      nodeName,
      findNode: () => this.store.nodes.get(nodeName),
      hostAddresses: () => this.addresses.addresses,
      onWarning: (kind, message) => this.warnOfNode(kind, message),
    });
    this.book = this.openBook();
    this.failed = new Promise((_, reject) => {
      this.fail = reject;
    });
    this.failed.catch(() => undefined);
  }

  private openBook(): NodeAddressBook | undefined {
    const { source, clock, questions } = this.options;
    if (source.listNodeAddresses === undefined) return undefined;
    const list = source.listNodeAddresses.bind(source);
    return new NodeAddressBook({
      ...{ list, clock, questions, signal: this.stopping.signal },
      onChange: () => this.judgeAddresses(),
      onFound: (service, address, node) => this.warnOfNodeAddress(service, address, node),
    });
  }

  get state(): ClusterStore {
    return this.store;
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
      ...(this.lacksNodes() ? ['it is not known yet which addresses Nodes have'] : []),
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
    void this.waitForNodes();
    void this.waitForNode();
    void this.waitForPodCIDRs();
    void this.waitForAddresses();
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
    if (this.book !== undefined) loops.judgeAddresses(this.book.judge);
    this.tellBook(this.store.services.keys());
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
    this.tellBook(services);
    this.loops?.servicesChanged(services, triggerTimesMs);
  }

  /** Nodes are listed for modes alone that make VIPs addresses of this machine. */
  private tellBook(keys: Iterable<ServiceKey>): void {
    const { book, loops } = this;
    if (book === undefined || loops?.bindsAddresses !== true) return;
    for (const key of keys) {
      const { notProxied, externalIPs = [], loadBalancerIPs = [] } = this.store.services.get(key) ?? {};
      book.serviceChanged(key, notProxied === undefined ? [...externalIPs, ...loadBalancerIPs] : []);
    }
  }

  /** It may be known now, or be waited for no longer. */
  private judgeAddresses(): void {
    if (this.book !== undefined) this.loops?.judgeAddresses(this.book.judge);
    this.begin();
  }

  private lacksNodes(): boolean {
    return !this.isBookOverdue && this.loops?.bindsAddresses === true && this.book?.isWaiting === true;
  }

  private async waitForNodes(): Promise<void> {
    await this.options.clock.sleep(nodeListWaitMs, this.stopping.signal);
    this.isBookOverdue = true;
    this.begin();
  }

  /** A name that no Node has is most often a mistake, and everything goes on without one. */
  private async waitForNode(): Promise<void> {
    const { clock, nodeName, needsNoNode } = this.options;
    await clock.sleep(nodeWaits.nodeMs, this.stopping.signal);
    if (this.stopping.signal.aborted || this.node.object !== undefined) return;
    // Manifests without any Node are meant so.
    if (needsNoNode === true && this.store.nodes.size === 0) return;
    const lacks = 'its zone, addresses and podCIDRs are unknown (--hostname-override names another)';
    this.warnOfNode('no-node', `no Node is named ${nodeName}: ${lacks}`);
  }

  private warnOfNodeAddress(service: ServiceKey, address: string, node: string): void {
    // An address of this machine needs no binding: its virtual server gets the packets as they are.
    if (this.loops?.bindsAddresses !== true || this.addresses.addresses.includes(address)) return;
    this.warn({
      object: `Service ${service}`,
      kind: 'node-address',
      message: `${address} is an address of Node ${node}: it is not made one of this machine, and connections of pods to it go to that Node`,
    });
  }

  /** Starts the first round, where all that it needs is known. */
  private begin(): void {
    const { loops, node } = this;
    if (this.hasBegun || loops === undefined || !this.isSynced) return;
    // Without them a VIP could be bound that is the node's own, and NodePorts would be taken away.
    if (node.lacksPodCIDRs() || this.lacksAddresses() || !this.addresses.isKnown || this.lacksNodes()) return;
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
  private async resettle(): Promise<boolean> {
    if (!this.hasBegun || this.loops === undefined || !this.node.resettle()) return true;
    const rounds = this.loops.roundsOver('settings');
    this.loops.settingsChanged();
    return rounds;
  }

  private addressesChanged(): void {
    void this.resettle();
    this.begin();
  }
}
