/** A lab, an API server for it, and a service proxy on its node that follows it. */
import type { FakeFaults } from '../support/fake-api-faults';
import { FakeApiServer } from '../support/fake-api-server';
import type { FakeResource } from '../support/fake-api-store';
import { forgetProxy } from '../support/lab/forget-proxy';
import { Lab } from '../support/lab/lab';
import { configureProxy, type IptablesVariant, ProxiedNode } from '../support/lab/proxied-node';
import { Canary } from './canary';
import { nodes } from './objects';
import type { ClusterObject, Mode } from './scenario';

export interface ClusterOptions {
  readonly mode: Mode;
  /** Default: the variant of the machine's `iptables`. */
  readonly variant?: IptablesVariant;
  /** The proxy's command line; `--config=FILE --hostname-override=node` follow. */
  readonly command: readonly string[];
  /** Fields of KubeProxyConfiguration. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Of the API server. */
  readonly faults?: FakeFaults;
  /** Multiplies waiting times on a slow machine. */
  readonly slow?: number;
  /** A lab that has been started and stays up. Its node is as new afterwards. Default: a lab of its own. */
  readonly lab?: Lab;
}

const resources: Readonly<Record<string, FakeResource | undefined>> = {
  Service: 'services',
  EndpointSlice: 'endpointslices',
  Endpoints: 'endpoints',
  Node: 'nodes',
};

const nameOf = ({ metadata: { name, namespace = 'default' } }: ClusterObject): string => `${namespace}/${name}`;
const keyOf = (object: ClusterObject): string => `${object.kind} ${nameOf(object)}`;

export class ProxiedCluster {
  readonly lab: Lab;
  private server: FakeApiServer | undefined;
  private proxy: ProxiedNode | undefined;
  private objects: readonly ClusterObject[] = [];
  private toldMs = 0;
  /** What the API server was told, by kind and name. */
  private told = new Map<string, { readonly object: ClusterObject; readonly text: string }>();
  private readonly canary: Canary;

  constructor(readonly options: ClusterOptions) {
    this.lab = options.lab ?? new Lab();
    this.canary = new Canary(options.faults?.lackDiscovery === true);
  }

  /** Resolves when these objects and the nodes are in force. Call stop whether it resolves or not. */
  async start(objects: readonly ClusterObject[]): Promise<void> {
    const { command, mode, config, faults, variant, slow } = this.options;
    this.server = await FakeApiServer.start();
    Object.assign(this.server.faults, faults);
    this.tell(objects);
    await this.lab.start();
    const args = await configureProxy(this.lab, Number(new URL(this.server.url).port), { mode, ...config });
    this.proxy = new ProxiedNode(this.lab, {
      command: [...command, ...args],
      ...(variant && { variant }),
      ...(slow && { slow }),
    });
    this.proxy.start();
    await this.inForce();
  }

  get isStarted(): boolean {
    return this.proxy !== undefined;
  }

  /** Only objects that differ become events. */
  private tell(objects: readonly ClusterObject[]): void {
    this.objects = objects;
    this.toldMs = Date.now();
    const before = this.told;
    this.told = new Map(
      [...nodes, ...objects].map((object) => [keyOf(object), { object, text: JSON.stringify(object) }]),
    );
    for (const [key, { object, text }] of this.told) if (before.get(key)?.text !== text) this.api.put({ ...object });
    for (const [key, { object }] of before) {
      const resource = resources[object.kind];
      if (resource !== undefined && !this.told.has(key)) this.api.delete(resource, nameOf(object));
    }
    for (const object of this.canary.next()) this.api.put({ ...object });
  }

  /** For faults, and for events that `tell` does not make. */
  get api(): FakeApiServer {
    if (this.server === undefined) throw new Error('the cluster has not been started');
    return this.server;
  }

  private get running(): ProxiedNode {
    if (this.proxy === undefined) throw new Error('the cluster has not been started');
    return this.proxy;
  }

  /** From now on the cluster consists of these objects and the nodes. Resolves when they are in force. */
  async apply(objects: readonly ClusterObject[]): Promise<void> {
    this.tell(objects);
    await this.inForce();
  }

  /** Stops the proxy, changes the cluster while it is away, starts it, and waits until all is in force. */
  async restart(objects?: readonly ClusterObject[], signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.running.stop(signal);
    this.tell(objects ?? this.objects);
    this.running.start();
    await this.inForce();
  }

  /** Waits until the canary answers and its sync has ended: a sync removes things and cleans conntrack late. */
  private async inForce(): Promise<void> {
    const deadlineMs = Date.now() + 90_000 * (this.options.slow ?? 1);
    const sinceMs = this.toldMs;
    if (!(await this.canary.sings(this.lab, () => Date.now() < deadlineMs && this.running.ended === undefined)))
      throw new Error(
        `what the cluster said never came into force (the proxy: ${this.running.ended ?? 'runs'}):\n${this.log().slice(-2000)}`,
      );
    // The canary was told last.
    await this.running.caughtUp(sinceMs, 50);
  }

  /** What the proxy printed. */
  log(): string {
    return this.running.log();
  }

  async stop(): Promise<void> {
    if (this.options.lab === undefined) await this.lab.stop();
    else {
      await this.proxy?.stop('SIGKILL');
      await forgetProxy(this.lab);
    }
    await this.server?.stop();
  }
}
