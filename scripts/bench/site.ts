/** The network namespaces of a bench: two nodes, connected to a client and to pods, and the processes in them. stop removes everything. */
import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../../src/host/command';
import { clientAddress, nodeAddress, podGateway, realPods, vipNetworks } from './addresses';

export type Place = 'node1' | 'node2' | 'pods' | 'client';
export type NodeNumber = 1 | 2;
/** A tool needs long to list or to load the largest clusters. */
const timeoutMs = 120_000;
const places: readonly Place[] = ['node1', 'node2', 'pods', 'client'];

/** Names contain the pid of the process that made them, so that another run can tell what a dead one left behind. */
const prefixPattern = /^vwbench(\d+)-/;

function printWires(prefix: string): string[] {
  const wire = (network: NodeNumber, device: string, place: Place): string =>
    `link add ${device} netns ${prefix}node${network} type veth peer name eth${network} netns ${prefix}${place}`;
  return ([1, 2] as const).flatMap((network) => [wire(network, 'pods', 'pods'), wire(network, 'client', 'client')]);
}

function printPlace(place: Place): string[] {
  const networks = [1, 2] as const;
  switch (place) {
    case 'node1':
    case 'node2': {
      const network = place === 'node1' ? 1 : 2;
      return [
        'link set pods up',
        'link set client up',
        `addr add ${podGateway(network)}/24 dev pods`,
        `addr add ${nodeAddress(network)}/24 dev client`,
        // Without a route for packets to a VIP that has no endpoints, no rule of the forward hook would see them.
        `route add default via ${clientAddress(network)}`,
      ];
    }
    case 'pods':
      return networks.flatMap((network) => [
        `link set eth${network} up`,
        ...realPods(network).map((pod) => `addr add ${pod}/24 dev eth${network}`),
        `route add ${clientAddress(network)}/32 via ${podGateway(network)}`,
      ]);
    case 'client':
      return networks.flatMap((network) => [
        `link set eth${network} up`,
        `addr add ${clientAddress(network)}/24 dev eth${network}`,
        ...vipNetworks(network).map((vips) => `route add ${vips} via ${nodeAddress(network)}`),
      ]);
  }
}

/** Turns on routing, and lifts the rate limit of ICMP answers to refused connections. Settings that this namespace may not set stay. */
function printSysctls(place: Place): string {
  if (place === 'pods' || place === 'client') return ':';
  const values = {
    'net/ipv4/ip_forward': 1,
    'net/ipv4/icmp_ratelimit': 0,
    'net/ipv4/icmp_msgs_per_sec': 1_000_000,
    'net/ipv4/icmp_msgs_burst': 1_000_000,
  };
  return Object.entries(values)
    .map(([path, value]) => `echo ${value} > /proc/sys/${path} || :`)
    .join('; ');
}

export class Site {
  /** A folder for files; stop removes it. */
  readonly directory = mkdtempSync(join(tmpdir(), `vwbench${process.pid}-`));
  readonly #prefix = `vwbench${process.pid}-`;
  readonly #children = new Set<ChildProcess>();
  #stopping: Promise<void> | undefined;

  async start(): Promise<void> {
    const ownerIsDead = (name: string): boolean => {
      const owner = prefixPattern.exec(name)?.[1];
      return owner !== undefined && !existsSync(`/proc/${owner}`);
    };
    await removeNamespaces(ownerIsDead);
    for (const name of readdirSync(tmpdir()).filter(ownerIsDead)) rmSync(join(tmpdir(), name), { recursive: true });
    const batch = [...places.map((place) => `netns add ${this.#prefix}${place}`), ...printWires(this.#prefix)];
    await runCommand('ip', ['-batch', '-'], { input: `${batch.join('\n')}\n` });
    for (const place of places) {
      const lines = ['link set lo up', ...printPlace(place)].join('\n');
      await this.run(place, 'sh', ['-c', `{ ${printSysctls(place)}; } 2>/dev/null; ip -batch -`], `${lines}\n`);
    }
  }

  /** Runs a command to its end, and returns its standard output. Throws CommandError. */
  async run(place: Place | 'fresh', file: string, args: readonly string[], input?: string): Promise<string> {
    const [command = '', ...rest] = this.#enter(place, [file, ...args]);
    const { stdout } = await runCommand(command, rest, { timeoutMs, ...(input === undefined ? {} : { input }) });
    return stdout;
  }

  /** Starts a process. @param command is the file to run and its arguments. */
  spawn(place: Place, command: readonly string[], stdio: StdioOptions, env?: NodeJS.ProcessEnv): ChildProcess {
    const [file = '', ...args] = this.#enter(place, command);
    const child = spawn(file, args, { stdio, env: { ...process.env, NODE_OPTIONS: '', ...env } });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  /** Ends every process, and removes every namespace and file. It may be called again. */
  stop(): Promise<void> {
    this.#stopping ??= this.#remove();
    return this.#stopping;
  }

  async #remove(): Promise<void> {
    await Promise.all([...this.#children].map((child) => end(child, 'SIGKILL')));
    await removeNamespaces((name) => name.startsWith(this.#prefix));
    rmSync(this.directory, { recursive: true, force: true });
  }

  /**
   * Returns a command line that replaces itself by the command, so that its pid is the command's. The command has a /run of its own,
   * so that it waits for no lock of other programs on this machine.
   */
  #enter(place: Place | 'fresh', command: readonly string[]): string[] {
    const inside = ['sh', '-c', 'mount -t tmpfs none /run && exec "$@"', 'sh', ...command];
    return place === 'fresh'
      ? ['unshare', '--net', '--mount', '--propagation', 'slave', '--', ...inside]
      : ['ip', 'netns', 'exec', `${this.#prefix}${place}`, ...inside];
  }
}

/** Sends the signal and waits for the end of the process. Sends SIGKILL after 20 s. */
export async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  const impatience = setTimeout(() => child.kill('SIGKILL'), 20_000);
  await exited;
  clearTimeout(impatience);
}

async function removeNamespaces(isOurs: (name: string) => boolean): Promise<void> {
  const present = existsSync('/run/netns') ? readdirSync('/run/netns') : [];
  for (const name of present.filter(isOurs)) {
    const { stdout } = await runCommand('ip', ['netns', 'pids', name]);
    for (const pid of stdout.split('\n').filter((line) => line !== '')) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // The process ended by itself.
      }
    }
    await runCommand('ip', ['netns', 'del', name]);
  }
}
