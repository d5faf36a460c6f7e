/** A cluster in use: connections are opened through its VIPs all the time, and whatever happens to one of them is reported. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { nodes, service, slice } from '../conformance/objects';
import type { ClusterObject, Mode } from '../conformance/scenario';
import { FakeApiServer } from './fake-api-server';
import { forgetProxy } from './lab/forget-proxy';
import { Lab } from './lab/lab';
import { configureProxy, type IptablesVariant, ProxiedNode, vipwire, writeConfig } from './lab/proxied-node';
import { crowd, type Place } from './lab/topology';
import { readNftRules } from './nft-rules';
import { droppedByMachine } from './dropped-by-machine';
import { sortedRules } from './sorted-rules';
import { until } from './until';

/** default/web: 10.96.0.10:80 and NodePort 30080, pods a, b and d. default/self: 10.96.0.11:80, pod c alone. */
export const busyObjects: readonly ClusterObject[] = [
  service({ type: 'NodePort', ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }] }),
  slice(['a', 'b', 'd']),
  service({ name: 'self', clusterIPs: ['10.96.0.11'] }),
  slice(['c'], { service: 'self' }),
];

/** The n-th of the Services that nobody uses. */
export function idleAddress(n: number): string {
  return `10.96.${16 + (n >> 8)}.${n & 255}`;
}

/** Services that nobody uses. Each has its own endpoints among the addresses of the crowd. */
export function idleObjects(count: number, endpoints: number): ClusterObject[] {
  return Array.from({ length: count }, (_, n) => idleService(n, endpoints)).flat();
}

/** The addresses of its endpoints. */
export function idlePods(n: number, endpoints: number, shift = 0): string[] {
  return Array.from({ length: endpoints }, (_, i) => crowd.address((n * endpoints + i + shift) % 1000));
}

export function idleService(n: number, endpoints: number, shift = 0): ClusterObject[] {
  const name = `idle-${n.toString().padStart(5, '0')}`;
  return [
    service({ name, clusterIPs: [idleAddress(n)] }),
    slice(
      idlePods(n, endpoints, shift).map((address) => ['e', { address, ready: true }]),
      { service: name },
    ),
  ];
}

export interface Client {
  readonly from: Place;
  readonly to: string;
  readonly port: number;
  /** The number of connections. Default: 200. */
  readonly perSecond?: number;
}

export const throughVIP: Client = { from: 'b', to: '10.96.0.10', port: 80 };
export const toItself: Client = { from: 'c', to: '10.96.0.11', port: 80 };
export const throughNodePort: Client = { from: 'ext', to: '192.168.88.10', port: 30080 };
const everyClient: readonly Client[] = [throughVIP, toItself, throughNodePort];

export interface BusyOptions {
  /** Default: iptables. */
  readonly mode?: Mode;
  /** Default: the variant of the machine's `iptables`. */
  readonly variant?: IptablesVariant;
  /** The variant that the proxy is told to use, if it is another one. */
  readonly proxyVariant?: IptablesVariant | 'auto';
  readonly clients?: readonly Client[];
  /** Arguments of the proxy, after the others. */
  readonly flags?: readonly string[];
  /** The environment of the proxy. */
  readonly env?: () => Readonly<Record<string, string>>;
  /** A command that runs the proxy's command. */
  readonly within?: readonly string[];
  /** Fields of KubeProxyConfiguration. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly slow?: number;
  /** A lab that is up and stays up. Its node is as new afterwards. Default: a lab of its own. */
  readonly lab?: Lab;
}

/** A cold cache on a busy machine: only whether there is an answer counts. A SYN that is sent twice is counted separately. */
const patienceMs = 8000;

const tellPid = 'echo $$ > "$0" && exec "$@"';

export class BusyCluster {
  readonly lab: Lab;
  private server: FakeApiServer | undefined;
  private node: ProxiedNode | undefined;
  /** The proxy's. */
  command: readonly string[] = [];

  constructor(readonly options: BusyOptions) {
    this.lab = options.lab ?? new Lab();
  }

  private get pidFile(): string {
    return join(this.lab.directory, 'proxy.pid');
  }

  get api(): FakeApiServer {
    if (this.server === undefined) throw new Error('the cluster has not been set up');
    return this.server;
  }

  get proxy(): ProxiedNode {
    if (this.node === undefined) throw new Error('the cluster has not been set up');
    return this.node;
  }

  /** Starts everything but the proxy. Call stop whether it resolves or not. */
  async setUp(objects: readonly ClusterObject[] = busyObjects): Promise<void> {
    const {
      mode = 'iptables',
      variant,
      proxyVariant = variant,
      env = () => ({}),
      config = {},
      slow = 1,
    } = this.options;
    this.server = await FakeApiServer.start();
    this.put([...nodes, ...objects]);
    await this.lab.start();
    const port = Number(new URL(this.server.url).port);
    const args = await configureProxy(this.lab, port, { mode, ...config });
    const environment = Object.entries<string>(env()).map(([name, value]) => `${name}=${value}`);
    const variantFlag = proxyVariant === undefined ? [] : [`--iptables-variant=${proxyVariant}`];
    const proxy = [...(this.options.within ?? []), ...vipwire, ...args, ...variantFlag, ...(this.options.flags ?? [])];
    this.command = ['sh', '-c', tellPid, this.pidFile, 'env', ...environment, ...proxy];
    this.node = new ProxiedNode(this.lab, { command: this.command, slow });
  }

  put(objects: readonly ClusterObject[]): void {
    this.api.put(...objects.map((object) => ({ ...object })));
  }

  /** Starts the proxy and waits until it has caught up. */
  async startProxy(): Promise<void> {
    const sinceMs = Date.now();
    this.proxy.start();
    await this.proxy.caughtUp(sinceMs);
  }

  /** The objects are in force when it resolves. */
  async apply(objects: readonly ClusterObject[]): Promise<void> {
    const sinceMs = Date.now();
    this.put(objects);
    await this.proxy.caughtUp(sinceMs);
  }

  /** Changes the configuration file of the running proxy, and returns the line in which the proxy logs what it did about it. */
  async reconfigure(fields: Readonly<Record<string, unknown>>): Promise<string> {
    const { mode = 'iptables', config = {}, slow = 1 } = this.options;
    const said = (): string[] => logLines(this.proxy.log(), 'the changed configuration is');
    const before = said().length;
    writeConfig(this.lab, { mode, ...config, ...fields });
    const limitMs = 60_000 * slow;
    await until(
      () => {
        if (this.proxy.ended !== undefined) throw new Error(`the proxy ended (${this.proxy.ended})`);
        return said().length > before;
      },
      { what: 'what became of it', limitMs, everyMs: 50, details: () => this.proxy.log().slice(-2000) },
    );
    return said()[before] ?? '';
  }

  /** The proxy does not see the changes before the work is done. */
  async whilePaused(work: () => Promise<void>): Promise<void> {
    process.kill(this.pid, 'SIGSTOP');
    try {
      await work();
    } finally {
      process.kill(this.pid, 'SIGCONT');
    }
  }

  private get pid(): number {
    return Number(readFileSync(this.pidFile, 'utf8'));
  }

  /** What the proxy and the tools that it ran have used so far. */
  cpuMs(): number {
    const fields = readFileSync(`/proc/${this.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    // utime, stime, cutime and cstime, in hundredths of a second.
    return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) * 10, 0);
  }

  async stop(): Promise<void> {
    if (this.options.lab === undefined) await this.lab.stop();
    else {
      await this.node?.stop('SIGKILL');
      await forgetProxy(this.lab);
    }
    await this.server?.stop();
  }

  /** The node's iptables tool of the variant under test: `tool('-save')`. */
  tool(kind: '' | '-save' | '-restore', variant = this.options.variant, family: 'IPv4' | 'IPv6' = 'IPv4'): string {
    return `${family === 'IPv4' ? 'iptables' : 'ip6tables'}${variant === undefined ? '' : `-${variant}`}${kind}`;
  }

  iptables(...args: readonly string[]): Promise<unknown> {
    return this.lab.run('node', this.tool(''), ['-w', '5', ...args]);
  }

  restore(input: string, ...args: readonly string[]): Promise<unknown> {
    return this.lab.run('node', this.tool('-restore'), ['-w', '5', ...args], input);
  }

  /** The node's rules and chains, in an order that does not depend on when they were written. */
  async rules(variant = this.options.variant, family: 'IPv4' | 'IPv6' = 'IPv4'): Promise<string[]> {
    if (this.options.mode === 'nftables') return readNftRules(this.lab, family);
    const { stdout } = await this.lab.run('node', this.tool('-save', variant, family), []);
    return sortedRules(stdout);
  }

  /** Removes all tables, as on a node that has just started. */
  async forgetRules(): Promise<void> {
    for (const table of ['nat', 'filter', 'mangle']) {
      await this.iptables('-t', table, '-F');
      await this.iptables('-t', table, '-X');
    }
  }

  /**
   * While `work` is done, the clients open connections, and each keeps one connection open. Returns what went wrong: connections
   * that were refused, not answered or broken, and SYNs that had to be sent again.
   */
  async whileBusy(
    work: () => Promise<unknown>,
    clients: readonly Client[] = this.options.clients ?? everyClient,
  ): Promise<string[]> {
    const watched = await Promise.all(clients.map((client) => this.watch(client)));
    const begunMs = Date.now();
    const dropped = await this.starved();
    await work();
    // The last change is used too.
    await sleep(500);
    const told = await Promise.all(watched.map((end) => end(begunMs)));
    const wrong = told.flat();
    const more = (await this.starved()) - dropped;
    // Then the result says nothing about the rules.
    if (wrong.length > 0 && more > 0)
      wrong.push(`${more} packets were dropped for want of time, by pods or the machine`);
    return wrong;
  }

  private async watch(client: Client): Promise<(begunMs: number) => Promise<string[]>> {
    const { from, to, port, perSecond = 200 } = client;
    const name = `${from} -> ${to}:${port}`;
    const target = { to, port, timeoutMs: patienceMs };
    const held = await this.lab.hold(from, target);
    const before = await this.tcpCount(from, 'TCPSynRetrans');
    const steady = await this.lab.steady(from, { ...target, perSecond });
    return async (begunMs) => {
      const { attempts, failures, longestPauseMs } = await steady.stop();
      const answer = await held.ask();
      await held.close();
      const again = (await this.tcpCount(from, 'TCPSynRetrans')) - before;
      const wrong = [...new Set(failures.map(({ outcome }) => outcome))].map((outcome) => {
        const begun = failures.filter((failure) => failure.outcome === outcome).map(({ atMs }) => atMs - begunMs);
        const when = `${Math.min(...begun)} to ${Math.max(...begun)} ms`;
        return `${name}: ${begun.length} of ${attempts} ${outcome}, begun at ${when}`;
      });
      if (attempts === 0) wrong.push(`${name}: opened nothing`);
      if (again > 0)
        wrong.push(`${name}: ${again} of ${attempts} SYNs sent again (held up for ${Math.round(longestPauseMs)} ms)`);
      if (answer.outcome !== 'ok') wrong.push(`${name}: the long connection: ${answer.outcome}`);
      return wrong;
    };
  }

  /** The number of connections that a pod's server had no time for, and of packets that a CPU had no time for. */
  private async starved(): Promise<number> {
    const pods = await Promise.all((['a', 'b', 'c', 'd'] as const).map((pod) => this.tcpCount(pod, 'ListenDrops')));
    return pods.reduce((sum, drops) => sum + drops, droppedByMachine());
  }

  private async tcpCount(place: Place, name: string): Promise<number> {
    const netstat = await this.lab.read(place, '/proc/net/netstat');
    const [names = [], values = []] = netstat
      .split('\n')
      .filter((line) => line.startsWith('TcpExt:'))
      .map((line) => line.split(' '));
    return Number(values[names.indexOf(name)]);
  }
}

/** The lines of the proxy's log that contain this text. */
export function logLines(log: string, text: string): string[] {
  return log.split('\n').filter((line) => line.includes(text));
}
