/** The composition root of the daemon: a source, a backend for each family, what reconciles them, and what reports about it. */
import type { ProxyConfiguration } from '../config/configuration';
import type { Machine } from '../machine/machine';
import type { Family } from '../model/address';
import type { ClusterChange, ClusterWarning } from '../model/cluster';
import { ClusterStore } from '../model/cluster-store';
import { modes } from '../modes/modes';
import type { Plan } from '../planner/plan';
import type { ClusterSink } from '../sources/source';
import { OpenQuestions } from '../telemetry/open-questions';
import { HostAddresses } from './agent-addresses';
import { AgentNode, thisMachine } from './agent-node';
import type { AgentOptions } from './agent-options';
import { MachineLoops } from './machine-loops';
import { NodeWaits } from './node-waits';
import { VipsOfNodes } from './vips-of-nodes';
import { WarnOnce } from './warn-once';

/** What the kernel holds until the first round of a machine. */
type RulesInForce = 'none of this process' | 'of the machine before';

/** The life of the machine that is written to. */
type Phase =
  /** No machine is open: the first one is being opened or another one instead of it, or it could not be opened. */
  | { readonly name: 'opening'; readonly rules: RulesInForce }
  /** A machine is open. Its first round waits for what waitingFor names. */
  | { readonly name: 'waiting'; readonly rules: RulesInForce; readonly loops: MachineLoops }
  /** Rounds have begun. */
  | { readonly name: 'running'; readonly loops: MachineLoops };

/** Also those that cannot be opened yet: they are not missing. */
function knownFamilies({ families, unserved }: MachineLoops): readonly Family[] {
  return [...new Set([...families, ...unserved.keys()])];
}

export class Agent implements ClusterSink {
  readonly #options: AgentOptions;
  readonly #store: ClusterStore;
  readonly #node: AgentNode;
  readonly #addresses: HostAddresses;
  readonly #questions: OpenQuestions;
  /** undefined: the source cannot tell the addresses of all Nodes. */
  readonly #vips: VipsOfNodes | undefined;
  readonly #warnings: WarnOnce;
  readonly #stopping = new AbortController();
  #configuration: ProxyConfiguration;
  /** 'in sync': Services and EndpointSlices were both listed. */
  #source: 'listing' | 'in sync' = 'listing';
  #phase: Phase = { name: 'opening', rules: 'none of this process' };
  /** Rejects when the daemon cannot go on. */
  readonly failed: Promise<never>;
  #fail!: (error: Error) => void;

  constructor(options: AgentOptions) {
    const { configuration, nodeName } = options;
    this.#options = options;
    this.#configuration = configuration;
    this.#store = new ClusterStore(options.clock.epochMs());
    this.#questions = options.questions ?? new OpenQuestions(options.log);
    this.#warnings = new WarnOnce(options.log, (warning) => options.telemetry.warned(warning));
    this.#addresses = new HostAddresses({
      clock: options.clock,
      questions: this.#questions,
      onChange: () => {
        void this.#resettle();
        this.#begin();
      },
      ...(options.readHostAddresses === undefined ? thisMachine : { read: options.readHostAddresses }),
    });
    this.#node = new AgentNode({
      configuration,
      nodeName,
      findNode: () => this.#store.nodes.get(nodeName),
      hostAddresses: () => this.#addresses.addresses,
      serviceCIDRs: () => this.#store.serviceCIDRs,
      onWarning: (kind, message) => this.#warnings.ofNode(kind, message),
    });
    const list = options.source.listNodeAddresses?.bind(options.source);
    if (list !== undefined)
      this.#vips = new VipsOfNodes({
        ...{ list, clock: options.clock, questions: this.#questions, signal: this.#stopping.signal },
        services: this.#store.services,
        bindsAddresses: () => this.#loops?.bindsAddresses === true,
        hostAddresses: () => this.#addresses.addresses,
        onJudged: () => this.#judgeAddresses(),
        warn: (warning) => this.#warnings.ofObject(warning),
      });
    this.failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.failed.catch(() => undefined);
  }

  /** In force or on their way; none before the first round. */
  get plans(): readonly Plan[] {
    return this.#loops?.plans ?? [];
  }

  /** Of the machine that is open. */
  get #loops(): MachineLoops | undefined {
    return this.#phase.name === 'opening' ? undefined : this.#phase.loops;
  }

  /** What the first round waits for. Empty once rules are in force, also those of the machine before. */
  waitingFor(): string[] {
    if (this.#phase.name === 'running' || this.#phase.rules === 'of the machine before') return [];
    const { nodeName } = this.#options;
    return [
      ...(this.#source === 'in sync' ? [] : ['Services and EndpointSlices are not all known yet']),
      ...(this.#phase.name === 'opening' ? ['the tools of this machine have not answered yet'] : []),
      ...(this.#vips?.isWaiting === true ? ['it is not known yet which addresses Nodes have'] : []),
      ...(this.#node.lacksPodCIDRs() ? [`Node ${nodeName} has no podCIDRs yet`] : []),
      ...(this.#addresses.isKnown ? [] : ['the addresses of this machine cannot be read']),
      ...(this.#lacksAddresses() ? [`Node ${nodeName} has no addresses yet`] : []),
    ];
  }

  /** Why families are not served that the Node or a Service needs. */
  unserved(): string[] {
    return [...(this.#loops?.unserved ?? [])].flatMap(([family, reason]) =>
      this.#needs(family) ? [`${family} is not served: ${reason}`] : [],
    );
  }

  /** The source lists while the machine is looked at. Rejects when that fails. */
  async start(openMachine: () => Promise<Machine>): Promise<void> {
    const { source } = this.#options;
    source.readServiceCIDRs?.(modes[this.#configuration.mode].readsServiceCIDRs);
    source.start(this);
    await this.#addresses.start(this.#stopping.signal);
    await this.#open(openMachine, 'none of this process');
  }

  /** Ends after the write in hand. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const loops = this.#loops?.stop();
    await this.#options.source.stop();
    await loops;
    await this.#options.loopbackNodePorts?.stop();
    this.#options.conntrack?.close();
  }

  apply(changes: readonly ClusterChange[]): void {
    this.#store.apply(changes);
    this.#options.telemetry.changed(changes);
    if (this.#source === 'in sync') this.#takeChanges();
  }

  warn(warning: ClusterWarning): void {
    this.#warnings.ofObject(warning);
  }

  synced(): void {
    this.#source = 'in sync';
    this.#takeChanges();
    this.#begin();
    void this.#vips?.waitForNodes();
    const { nodeName, clock, log, needsNoNode } = this.#options;
    new NodeWaits({ nodeName, clock, log, node: this.#node, signal: this.#stopping.signal }).start({
      // Manifests need not name a Node.
      needsNode: () => needsNoNode !== true || this.#store.nodes.size > 0,
      needsAddresses: needsNoNode !== true,
      warn: (problem) => this.#warnings.ofNode('no-node', problem),
      fail: (problem) => this.#fail(new Error(problem)),
      goOn: () => this.#begin(),
    });
  }

  /** Why this node cannot be served with such a configuration; undefined: it can. */
  refusal(configuration: ProxyConfiguration): string | undefined {
    const { nodeName, needsNoNode } = this.#options;
    if (this.#node.lacksPodCIDRs(configuration)) return `detectLocalMode: Node ${nodeName} has no podCIDRs`;
    if (this.#node.lacksAddresses(configuration) && needsNoNode !== true)
      return `nodePortAddresses: Node ${nodeName} has no address`;
    const loops = this.#loops;
    return loops === undefined ? undefined : this.#node.checkFamilies(knownFamilies(loops), configuration);
  }

  /**
   * Changes what the planner is told, and when rounds come. Resolves when that is in force, with false when writing failed: then
   * it is tried again.
   */
  async configure(configuration: ProxyConfiguration): Promise<boolean> {
    this.#configuration = configuration;
    this.#node.configure(configuration);
    return this.#resettle();
  }

  /**
   * Another machine takes over what is in the kernel, as a fresh process would; until its first round is done, what the last
   * one wrote is in force. Resolves after that round, with false when it failed: then it is tried again. Rejects when the
   * machine cannot be opened: then there is none.
   */
  async replaceMachine(configuration: ProxyConfiguration, openMachine: () => Promise<Machine>): Promise<boolean> {
    const old = this.#phase;
    const rules = old.name === 'running' ? 'of the machine before' : 'none of this process';
    this.#phase = { name: 'opening', rules };
    if (old.name !== 'opening') await old.loops.stop();
    this.#configuration = configuration;
    this.#node.configure(configuration);
    this.#node.resettle();
    const mode = modes[configuration.mode];
    this.#options.source.readServiceCIDRs?.(mode.readsServiceCIDRs);
    this.#options.telemetry.restarted(mode);
    return this.#open(openMachine, rules);
  }

  /** Resolves when its first rounds, if they could begin at once, are over: whether they went well. */
  async #open(openMachine: () => Promise<Machine>, rules: RulesInForce): Promise<boolean> {
    const { clock, log, telemetry, conntrack, loopbackNodePorts, showBatch } = this.#options;
    const loops = new MachineLoops({
      machine: await openMachine(),
      schedule: () => ({
        minPeriodMs: this.#configuration.minSyncPeriodMs,
        maxRetryMs: this.#configuration.syncPeriodMs,
      }),
      state: this.#store,
      settings: () => this.#node.settings,
      hostAddresses: () => this.#addresses.addresses,
      ...{ clock, log, telemetry, conntrack, loopbackNodePorts, showBatch, questions: this.#questions },
      onWarning: (warning) => this.warn(warning),
    });
    await loops.open();
    if (this.#stopping.signal.aborted) {
      await loops.stop();
      return true;
    }
    this.#phase = { name: 'waiting', rules, loops };
    if (this.#vips !== undefined) loops.judgeAddresses(this.#vips.judge);
    this.#vips?.servicesChanged(this.#store.services.keys());
    const firstRounds = loops.roundsOver('start');
    return this.#begin() ? firstRounds : true;
  }

  #needs(family: Family): boolean {
    if (this.#node.primaryFamily === family) return true;
    for (const { notProxied, clusterIPs } of this.#store.services.values())
      if (notProxied === undefined && clusterIPs[family] !== undefined) return true;
    return false;
  }

  #takeChanges(): void {
    const { services, nodes, serviceCIDRs, triggerTimesMs } = this.#store.takeChanged();
    if (nodes || serviceCIDRs) {
      const node = this.#node.object;
      if (node !== undefined) this.#options.telemetry.nodeChanged(node);
      void this.#resettle();
      this.#begin();
    }
    if (services.size === 0) return;
    this.#vips?.servicesChanged(services);
    this.#loops?.servicesChanged(services, triggerTimesMs);
  }

  /** It may be known now which VIPs are addresses of Nodes, or no longer be waited for. */
  #judgeAddresses(): void {
    if (this.#vips !== undefined) this.#loops?.judgeAddresses(this.#vips.judge);
    this.#begin();
  }

  /** Starts the first round if all that it needs is known. Returns whether it did. */
  #begin(): boolean {
    if (this.#phase.name !== 'waiting' || this.#source !== 'in sync') return false;
    const { loops } = this.#phase;
    // Without the addresses a VIP could be bound that is the node's own, and NodePorts would be taken away.
    const lacksAddresses = this.#lacksAddresses() || !this.#addresses.isKnown || this.#vips?.isWaiting === true;
    if (this.#node.lacksPodCIDRs() || lacksAddresses) return false;
    const problem = this.#node.checkFamilies(knownFamilies(loops));
    if (problem !== undefined) {
      this.#fail(new Error(problem));
      return false;
    }
    this.#phase = { name: 'running', loops };
    loops.begin();
    return true;
  }

  #lacksAddresses(): boolean {
    return this.#node.lacksAddresses() && this.#options.needsNoNode !== true;
  }

  /** The node or its addresses may be others: everything is planned anew, if that makes a difference. */
  async #resettle(): Promise<boolean> {
    if (this.#phase.name !== 'running' || !this.#node.resettle()) return true;
    const { loops } = this.#phase;
    const rounds = loops.roundsOver('settings');
    loops.settingsChanged();
    return rounds;
  }
}
