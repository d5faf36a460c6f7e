/** The daemon: its servers, its agent, and the configuration that is in force now. */
import { Agent } from './agent';
import { AgentTelemetry } from './agent-telemetry';
import type { ProxyConfiguration } from '../config/configuration';
import type { Part } from '../config/configuration-changes';
import type { EffectiveConfiguration } from '../config/effective';
import { systemClock } from '../host/clock';
import { runCommand } from '../host/command';
import { Conntrack } from '../host/conntrack';
import type { Machine } from '../machine/machine';
import { UserError } from '../model/user-error';
import { LoopbackNodePorts } from '../servers/loopback-node-ports';
import { ProxyHealth } from '../servers/proxy-health';
import { type ServiceHealth, ServiceHealthServers } from '../servers/service-health-servers';
import { type ClusterEvent, EventRecorder } from '../sources/kubernetes/event-recorder';
import { KubernetesSource } from '../sources/kubernetes/source';
import type { Source } from '../sources/source';
import type { AdjustableLogger } from '../telemetry/logger';
import { version } from '../model/version';
import { modes, otherModes } from '../modes/modes';
import type { IptablesVariant } from '../xtables/variant';
import { setUpKernel } from '../machine/kernel-settings';
import { openMachine } from '../machine/open-machine';
import { openServers, type Told } from './open-servers';

/** A process that ends has so long to report why. */
const eventGraceMs = 2000;

export interface DaemonOptions extends Pick<Told, 'metrics' | 'board' | 'questions'> {
  /** The cluster comes from an API server, so this node must be one of its Nodes. */
  readonly needsNode: boolean;
  readonly iptablesVariant: IptablesVariant;
  /** In IPVS mode: how long an endpoint that goes keeps its connections at most; 0: until they end. */
  readonly drainLimitMs: number;
  /** Every flag as text, also those with their defaults. */
  readonly flagTexts: Readonly<Record<string, string>>;
  readonly effective: EffectiveConfiguration;
  readonly nodeName: string;
  readonly source: Source;
  readonly log: AdjustableLogger;
}

export class Daemon {
  readonly #options: DaemonOptions;
  #effective: EffectiveConfiguration;
  readonly #told: Told;
  readonly #events: EventRecorder | undefined;
  readonly #conntrack = new Conntrack(runCommand);
  readonly #telemetry: AgentTelemetry;
  readonly #agent: Agent;
  #servers: ReturnType<typeof openServers> = [];
  #giveUp!: (error: unknown) => void;
  /** Rejects when the daemon cannot go on. */
  readonly failed: Promise<never>;

  constructor(options: DaemonOptions) {
    this.#options = options;
    const { needsNode, effective, nodeName, source, log, metrics, board, questions } = options;
    const { configuration } = effective;
    this.#effective = effective;
    const health = new ProxyHealth(() => 2 * this.#effective.configuration.syncPeriodMs);
    this.#events =
      source instanceof KubernetesSource ? new EventRecorder(source.client, nodeName, systemClock, log) : undefined;
    const record = (event: ClusterEvent): void => this.#events?.record(event);
    this.#told = {
      ...{ health, metrics, board, questions, record, nodeName },
      plans: () => this.#agent.plans,
      modeName: () => this.#telemetry.modeName,
      ruleWriter: () => this.#agent,
    };
    // Manifests need not have a Node, and this one stays.
    const needsNoNode = !needsNode;
    if (needsNoNode) health.setNode({ leaving: false });
    const clock = systemClock;
    const isProxyHealthy = (): boolean => health.health(clock.now()).healthy;
    const onFailure = (service: ServiceHealth, note: string): void =>
      record({ type: 'Warning', reason: 'FailedToStartServiceHealthcheck', action: 'Listen', note, service });
    this.#telemetry = new AgentTelemetry({
      ...this.#told,
      mode: modes[configuration.mode],
      log,
      clock,
      openServiceHealth: (family, addresses) =>
        new ServiceHealthServers({ family, addresses, isProxyHealthy, onFailure, clock, log }),
      onAffinity: () => {
        void modes[this.#effective.configuration.mode].warnOfAffinity(log);
      },
    });
    const telemetry = this.#telemetry;
    const conntrack = this.#conntrack;
    const loopbackNodePorts = new LoopbackNodePorts({ clock, log, metrics });
    this.#agent = new Agent({
      ...{ configuration, nodeName, source, clock, log, telemetry, conntrack, loopbackNodePorts },
      ...{ needsNoNode, questions },
    });
    this.failed = Promise.race([
      this.#agent.failed,
      new Promise<never>((_, reject) => {
        this.#giveUp = reject;
      }),
    ]);
    this.failed.catch(() => undefined);
  }

  /** Rejects when the first start fails. */
  async start(): Promise<void> {
    const { mode, bindAddressHardFail } = this.#effective.configuration;
    try {
      await this.#openServers(bindAddressHardFail);
    } catch (error) {
      await this.#events?.stop(eventGraceMs);
      throw error;
    }
    const note = `vipwire ${version} in mode ${mode}`;
    this.#told.record({ type: 'Normal', reason: 'Starting', action: 'StartKubeProxy', note });
    await this.#agent.start(() => this.#openMachine(this.#effective.configuration));
  }

  /** Ends after the write in hand; the rules stay. */
  async stop(): Promise<void> {
    await this.#events?.stop();
    await this.#agent.stop();
    await Promise.all([this.#telemetry.stop(), ...this.#servers.map((server) => server.stop())]);
  }

  /**
   * Brings a configuration into force in which these parts differ from the one before. Resolves with false when its rules could
   * not be written: then they are tried again. Rejects when the one before stays in force.
   */
  async apply(next: EffectiveConfiguration, parts: ReadonlySet<Part>): Promise<boolean> {
    const { log } = this.#options;
    const { configuration } = next;
    const refusal = this.#agent.refusal(configuration);
    if (refusal !== undefined) throw new UserError(refusal);
    if (parts.has('log')) log.adjust(configuration.logging);
    const isInForce = parts.has('machine')
      ? await this.#replaceMachine(configuration, this.#effective.configuration)
      : await this.#configure(configuration, parts);
    this.#effective = next;
    // A server that cannot listen is no reason to end a daemon that runs.
    if (parts.has('servers')) await this.#openServers(false);
    return isInForce;
  }

  async #configure(next: ProxyConfiguration, parts: ReadonlySet<Part>): Promise<boolean> {
    if (parts.has('kernel')) await setUpKernel(next, modes[next.mode], this.#options.log);
    return parts.has('planning') || parts.has('schedule') ? this.#agent.configure(next) : true;
  }

  async #replaceMachine(next: ProxyConfiguration, before: ProxyConfiguration): Promise<boolean> {
    try {
      return await this.#agent.replaceMachine(next, () => this.#openMachine(next));
    } catch (error) {
      try {
        await this.#agent.replaceMachine(before, () => this.#openMachine(before));
      } catch (again) {
        this.#giveUp(again);
      }
      throw error;
    }
  }

  #openMachine(configuration: ProxyConfiguration): Promise<Machine> {
    const { iptablesVariant, drainLimitMs, log } = this.#options;
    const conntrack = this.#conntrack;
    const { health, metrics, questions } = this.#told;
    const clock = systemClock;
    const mode = modes[configuration.mode];
    return openMachine({
      ...{ mode, iptablesVariant, drainLimitMs, configuration, questions, conntrack, clock, log },
      leftByOthers: (options) => otherModes(mode).flatMap((other) => other.leftovers(options)),
      familyOpened: (family) => health.updated(family, clock.now()),
      countPackets: (read) => metrics.countPackets(read),
    });
  }

  async #openServers(hardFail: boolean): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.stop()));
    const { flagTexts, log } = this.#options;
    this.#servers = openServers({ effective: () => this.#effective, flagTexts, hardFail }, this.#told, log);
    await Promise.all(this.#servers.map((server) => server.start()));
  }
}
