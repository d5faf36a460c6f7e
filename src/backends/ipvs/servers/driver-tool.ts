/** Virtual servers by ipvsadm, for machines where the netlink addon cannot be loaded. */
import { CommandError, type RunCommand } from '../../../host/command';
import type { Family } from '../../../model/address';
import type { DestinationState, IpvsTimeouts } from './driver-messages';
import type { ServerTransport } from './transport';
import { printServerWrite, printServerWrites } from './ipvsadm-text';
import { parseServerOptions, type ServerOptions } from './server-options';
import type { ServerWrite } from './virtual-server';

const tool = 'ipvsadm';
const timeoutMs = 120_000;

const kinds = new Map([
  ['-t', 'TCP'],
  ['-u', 'UDP'],
  ['--sctp-service', 'SCTP'],
  ['-f', 'FWM'],
]);

/** Reads a server's line of `ipvsadm --save`: `-A -t 10.96.0.10:80 -s rr`. Returns undefined for other lines and other protocols. */
export function parseSavedServer(line: string): readonly [server: string, options: ServerOptions] | undefined {
  const [, word = '', end, options] = /^-A (-t|-u|-f|--sctp-service) (\S+)(?: -6)? (-s [a-z]+.*)$/.exec(line) ?? [];
  const kind = kinds.get(word);
  if (kind === undefined || options === undefined) return undefined;
  // `--pe sip` is cut off. No server of a Service has it.
  return [`${kind} ${end}`, parseServerOptions(options.replace(/ --.*/, '').trimEnd())];
}

/** Reads a line of `ipvsadm --list`, `  -> 10.244.1.2:8080   Masq   0   2   0`: weight, active and inactive connections. */
export function parseListedDestination(line: string): DestinationState | undefined {
  const [, destination, weight, active, inactive] = /^ +-> (\S+:\d+) +\S+ +(\d+) +(\d+) +(\d+)/.exec(line) ?? [];
  if (destination === undefined) return undefined;
  return { destination, weight: Number(weight), connections: Number(active) + Number(inactive) };
}

export class ToolServers implements ServerTransport {
  readonly tellsRefusals = false;
  readonly #run: RunCommand;

  constructor(
    readonly family: Family,
    run: RunCommand,
  ) {
    this.#run = run;
  }

  /** Throws CommandError when the tool is not there, or may not program IPVS. */
  async connect(): Promise<void> {
    await this.#run(tool, ['--list', '--timeout']);
  }

  /** The tool skips lines that the kernel refuses. Its exit code is that of the last line, so it says nothing about the others. */
  async write(writes: readonly ServerWrite[]): Promise<void> {
    try {
      await this.#run(tool, ['--restore'], { input: printServerWrites(writes, this.family), timeoutMs });
    } catch (error) {
      if (!(error instanceof CommandError) || error.notFound || error.exitCode === undefined) throw error;
    }
  }

  async readOptions(): Promise<ReadonlyMap<string, ServerOptions>> {
    const servers = new Map<string, ServerOptions>();
    const onLine = (line: string): void => {
      const saved = parseSavedServer(line);
      if (saved !== undefined) servers.set(...saved);
    };
    await this.#run(tool, ['--save', '--numeric'], { onLine, timeoutMs });
    return servers;
  }

  async readDestinations(server: string): Promise<readonly DestinationState[]> {
    const [, ...key] = printServerWrite({ op: 'delete-server', server }, this.family).split(' ');
    try {
      const { stdout } = await this.#run(tool, ['--list', '--numeric', ...key], { timeoutMs });
      return stdout.split('\n').flatMap((line) => parseListedDestination(line) ?? []);
    } catch (error) {
      if (error instanceof CommandError && error.stderr.includes('No such service')) return [];
      throw error;
    }
  }

  async setTimeouts({ tcpSeconds, tcpFinSeconds, udpSeconds }: IpvsTimeouts): Promise<void> {
    await this.#run(tool, ['--set', ...[tcpSeconds, tcpFinSeconds, udpSeconds].map(String)]);
  }

  async canSchedule(server: string, scheduler: string): Promise<boolean> {
    const words = (write: ServerWrite): string[] => printServerWrite(write, this.family).split(' ');
    try {
      await this.#run(tool, words({ op: 'add-server', server, options: `-s ${scheduler}` }));
    } catch (error) {
      if (error instanceof CommandError && error.stderr.includes('not found')) return false;
      throw error;
    }
    await this.#run(tool, words({ op: 'delete-server', server }));
    return true;
  }

  close(): void {
    // Nothing is open.
  }
}
