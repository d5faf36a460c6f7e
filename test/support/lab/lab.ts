import { type ChildProcess, execFileSync, spawn, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommandError, type CommandResult, runCommand } from '../../../src/host/command';
import type { Answer, HttpAnswer, ProbeRequest, Target } from '../prober';
import type { SteadyReport, SteadyRequest } from '../prober-steady';
import { Station } from './station';
import { addresses, echoPorts, nodeEchoPort, type Place, places, printNamespaces, printSetup } from './topology';

/** The name of a lab begins with the id of the process that made it, so that other processes recognize what a dead one left behind. */
const prefixPattern = /^vwlab(\d+)-\d+/;
let labsMade = 0;

export interface SpawnOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdio?: StdioOptions;
}

/** A connection that stays open, for example during a restart. */
export interface LabConnection {
  readonly answer: Answer;
  ask(): Promise<Answer>;
  close(): Promise<null>;
  /** Like close, but with an RST. */
  reset(): Promise<null>;
}

export interface LabSteadyClient {
  stop(): Promise<SteadyReport>;
}

/** In a guest a tool may take minutes. */
const timeoutMs = 300_000;

/** Network namespaces that are a node, its pods, a second node and an outside client, with a process in each of them that can be asked. Needs root. */
export class Lab {
  readonly prefix: string;
  /** A folder for the files of this lab's tests. It is removed with the lab. */
  readonly directory: string;
  private readonly stations = new Map<Place, Station>();
  private readonly children = new Set<ChildProcess>();
  private readonly servers = new Set<Server>();
  /** The machine's ports, by the socket that leads to them. */
  private readonly exposed = new Map<string, number>();
  private starting: Promise<void> | undefined;
  private stopping: Promise<void> | undefined;

  constructor(prefix = `vwlab${process.pid}-${++labsMade}`) {
    this.prefix = prefix;
    this.directory = mkdtempSync(join(tmpdir(), `${prefix}-`));
  }

  namespace(place: Place): string {
    return `${this.prefix}-${place}`;
  }

  /** Builds everything, in half a second. Call stop whether it resolves or not. */
  start(): Promise<void> {
    this.starting ??= this.build();
    return this.starting;
  }

  private async build(): Promise<void> {
    this.refuseIfStopped();
    await sweep(ownerIsDead);
    await sweepNamespaces((prefix) => prefix === this.prefix);
    const script = join(this.directory, 'station.cjs');
    bundleStation(script);
    await runCommand('ip', ['-batch', '-'], { timeoutMs, input: `${printNamespaces(this.prefix)}\n` });
    this.refuseIfStopped();
    const net = runCommand('ip', ['netns', 'exec', `${this.prefix}-net`, 'sh', '-c', printSetup('net')], { timeoutMs });
    for (const place of places) {
      const ports: readonly number[] = place === 'node' ? [nodeEchoPort] : echoPorts;
      const argv = [process.execPath, script, place, ...ports.map(String)];
      this.stations.set(place, new Station(this.namespace(place), printSetup(place), argv));
    }
    await Promise.all([net, ...[...this.stations.values()].map((station) => station.ready)]);
    await this.reachEveryone();
  }

  /** Lets every place learn its neighbours, so that no test has to wait for that. */
  private async reachEveryone(): Promise<void> {
    const pods = places.filter((place) => place !== 'node');
    const probes = pods.flatMap((pod) =>
      Object.values(addresses[pod]).map(async (to) => {
        const [answer] = await this.probe('node', { to, port: 80, timeoutMs: 5000 });
        if (answer?.outcome !== 'ok') throw new Error(`${this.prefix}: node does not reach ${pod} at ${to}`);
      }),
    );
    await Promise.all(probes);
  }

  private refuseIfStopped(): void {
    if (this.stopping !== undefined) throw new Error(`${this.prefix} was stopped`);
  }

  /** Ends every process, and removes every namespace and file. It may be called at any time, also more than once. */
  stop(): Promise<void> {
    this.stopping ??= this.remove();
    return this.stopping;
  }

  private async remove(): Promise<void> {
    const stopStations = (): Promise<unknown> =>
      Promise.all([...this.stations.values()].map((station) => station.stop()));
    for (const server of this.servers) server.close();
    await stopStations();
    // What start was still making must exist before it can be removed.
    await this.starting?.catch(() => undefined);
    await stopStations();
    await Promise.all([...this.children].map((child) => endProcess(child, 'SIGKILL')));
    await sweep((prefix) => prefix === this.prefix);
  }

  private station(place: Place): Station {
    const station = this.stations.get(place);
    if (station === undefined) throw new Error(`${this.prefix} is not up`);
    return station;
  }

  probe(from: Place, request: ProbeRequest): Promise<Answer[]> {
    return this.station(from).call('probe', request);
  }

  http(from: Place, url: string, timeoutMs = 3000): Promise<HttpAnswer> {
    return this.station(from).call('http', { url, timeoutMs });
  }

  /** Reads a file in the place: each namespace has its own /proc/net and /proc/sys/net. */
  read(place: Place, path: string): Promise<string> {
    return this.station(place).call('read', { path });
  }

  /** Sends one ICMP echo request. It needs the machine's `ping`. */
  async ping(from: Place, to: string): Promise<'pong' | 'silent'> {
    try {
      await this.run(from, 'ping', ['-c1', '-W1', to]);
      return 'pong';
    } catch (error) {
      if (error instanceof CommandError && error.exitCode === 1) return 'silent';
      throw error;
    }
  }

  async hold(from: Place, target: Target): Promise<LabConnection> {
    const station = this.station(from);
    const { id, answer } = await station.call('hold', target);
    return {
      answer,
      ask: () => station.call('ask', { id }),
      close: () => station.call('release', { id }),
      reset: () => station.call('release', { id, reset: true }),
    };
  }

  /** Opens connections at a steady rate until it is stopped, and then reports every failure. */
  async steady(from: Place, request: SteadyRequest): Promise<LabSteadyClient> {
    const station = this.station(from);
    const { id } = await station.call('steady-start', request);
    return { stop: () => station.call('steady-stop', { id }) };
  }

  /**
   * Makes the machine's 127.0.0.1:outerPort reachable as 127.0.0.1:innerPort in a place, so that a node reaches a server of the test
   * itself. A second call replaces the server.
   */
  async expose(place: Place, innerPort: number, outerPort: number): Promise<void> {
    const socketPath = join(this.directory, `${place}-${innerPort}.sock`);
    const isThere = this.exposed.has(socketPath);
    this.exposed.set(socketPath, outerPort);
    if (isThere) return;
    const server = createServer((inner) => {
      const outer = connect(this.exposed.get(socketPath) ?? outerPort, '127.0.0.1');
      inner.on('error', () => outer.destroy()).on('close', () => outer.destroy());
      outer.on('error', () => inner.destroy()).on('close', () => inner.destroy());
      inner.pipe(outer).pipe(inner);
    });
    this.servers.add(server);
    await new Promise<void>((resolve) => server.listen(socketPath, resolve));
    await this.station(place).call('relay', { port: innerPort, socketPath });
  }

  /** Runs a tool in a place and waits for its end. Throws CommandError. */
  run(place: Place, file: string, args: readonly string[], input?: string): Promise<CommandResult> {
    const argv = ['netns', 'exec', this.namespace(place), file, ...args];
    return runCommand('ip', argv, { timeoutMs, ...(input === undefined ? {} : { input }) });
  }

  /** Starts a process in a place. stop ends it unless it has ended before. */
  spawn(place: Place, file: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', this.namespace(place), file, ...args], {
      stdio: options.stdio ?? 'ignore',
      env: { ...process.env, ...options.env },
    });
    this.children.add(child);
    child.once('close', () => this.children.delete(child));
    return child;
  }
}

/** Sends the signal and waits for the end. Sends SIGKILL after 10 s. */
export async function endProcess(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const closed = once(child, 'close');
  child.kill(signal);
  const impatience = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await closed;
  clearTimeout(impatience);
}

function ownerIsDead(prefix: string): boolean {
  const owner = prefixPattern.exec(prefix)?.[1];
  return owner !== undefined && !existsSync(`/proc/${owner}`);
}

/** Removes the namespaces and files of labs, and ends what still runs in them. */
async function sweep(isOurs: (prefix: string) => boolean): Promise<void> {
  await sweepNamespaces(isOurs);
  const prefixOf = (name: string): string => name.slice(0, name.lastIndexOf('-'));
  for (const name of readdirSync(tmpdir()).filter((name) => isOurs(prefixOf(name))))
    rmSync(join(tmpdir(), name), { recursive: true, force: true });
}

async function sweepNamespaces(isOurs: (prefix: string) => boolean): Promise<void> {
  const present = existsSync('/run/netns') ? readdirSync('/run/netns') : [];
  const ours = present.filter((name) => isOurs(name.slice(0, name.lastIndexOf('-'))));
  if (ours.length === 0) return;
  const pids = await Promise.all(ours.map((name) => runCommand('ip', ['netns', 'pids', name])));
  for (const pid of pids.flatMap(({ stdout }) => stdout.split('\n').filter((line) => line !== '')))
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It ended by itself.
    }
  await runCommand('ip', ['-batch', '-'], { timeoutMs, input: ours.map((name) => `netns del ${name}\n`).join('') });
}

/** Bundles the station's sources into one CommonJS file, in 50 ms. */
function bundleStation(outfile: string): void {
  const entry = join('test', 'support', 'lab', 'station-main.ts');
  const args = [entry, '--bundle', '--platform=node', '--target=node20', '--log-level=warning', `--outfile=${outfile}`];
  execFileSync(join('node_modules', '.bin', 'esbuild'), args, { stdio: ['ignore', 'ignore', 'inherit'] });
}
