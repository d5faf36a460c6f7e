/** The proxy that is measured: its process, its log lines about syncs, its CPU time and memory. */
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Rules } from './rules';
import { end, type Place, type Site } from './site';

export interface SyncLine {
  /** When the line arrived, on the clock that all processes share (CLOCK_MONOTONIC). */
  readonly atMs: number;
  readonly family: string;
  readonly rules: number;
  readonly bytes: number;
  readonly calls: number;
  /** The time for reading from the kernel and writing to it. */
  readonly kernelMs: number;
}

export interface CpuTime {
  readonly ownMs: number;
  readonly childrenMs: number;
}

export interface ProxyOptions {
  readonly site: Site;
  readonly place: Place;
  /** dist/vipwire.cjs. */
  readonly bundle: string;
  readonly configFile: string;
  readonly rules: Rules;
  /** A folder that is put in front of PATH. */
  readonly path?: string;
  readonly nodeArguments?: readonly string[];
}

/** The unit of times in /proc/PID/stat (1 / USER_HZ). */
const tickMs = 10;

export const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;

export class Proxy {
  readonly syncs: SyncLine[] = [];
  readonly startedMs = nowMs();
  /** The largest resident set that one of its child processes had. */
  childrenPeakBytes = 0;
  readonly #child: ChildProcess;
  readonly #log: string[] = [];

  constructor({ site, place, bundle, configFile, rules, path, nodeArguments = [] }: ProxyOptions) {
    const flags = ['run', '--config', configFile, '--hostname-override', 'node'];
    this.#child = site.spawn(
      place,
      [process.execPath, ...nodeArguments, bundle, ...flags],
      ['ignore', 'ignore', 'pipe'],
      {
        ...(rules === 'nftables' ? {} : { VIPWIRE_IPTABLES: rules }),
        ...(path === undefined ? {} : { PATH: `${path}:${process.env['PATH'] ?? ''}` }),
      },
    );
    if (this.#child.stderr !== null)
      createInterface({ input: this.#child.stderr }).on('line', (line) => this.#read(line));
  }

  #read(line: string): void {
    this.#log.push(line);
    const [, family, rest] = /"synced" family="(\w+)" (.*)$/.exec(line) ?? [];
    if (family === undefined || rest === undefined) return;
    const field = (name: string): number => Number(new RegExp(`\\b${name}=(\\d+)`).exec(rest)?.[1]);
    this.syncs.push({
      atMs: nowMs(),
      family,
      rules: field('rules'),
      bytes: field('bytes'),
      calls: field('calls'),
      kernelMs: field('kernelMs'),
    });
  }

  /** Waits until `look` finds something. Throws when the proxy ended, or after the timeout. */
  async #until<T>(what: string, timeoutMs: number, look: () => T | undefined): Promise<T> {
    const deadline = nowMs() + timeoutMs;
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      if (this.#child.exitCode !== null || this.#child.signalCode !== null || nowMs() > deadline)
        throw new Error(
          `no ${what} within ${timeoutMs / 1000} s; the proxy logged:\n${this.#log.slice(-10).join('\n')}`,
        );
      await sleep(2);
    }
  }

  /** Returns the milliseconds from the start of the process until the rules of both families were in force. */
  async started(timeoutMs = 90_000): Promise<number> {
    const first = (family: string): SyncLine | undefined => this.syncs.find((sync) => sync.family === family);
    const at = await this.#until('start', timeoutMs, () => {
      const [v4, v6] = [first('IPv4'), first('IPv6')];
      return v4 && v6 && Math.max(v4.atMs, v6.atMs);
    });
    return at - this.startedMs;
  }

  /** Waits for the next sync after this many. */
  async sync(after: number, timeoutMs = 20_000): Promise<SyncLine> {
    return this.#until('sync', timeoutMs, () => this.syncs[after]);
  }

  /** Waits until no sync came for this long, and returns the last one. */
  async quiet(quietMs: number): Promise<SyncLine | undefined> {
    const since = nowMs();
    while (nowMs() - Math.max(since, this.syncs.at(-1)?.atMs ?? 0) < quietMs) await sleep(10);
    return this.syncs.at(-1);
  }

  cpu(): CpuTime {
    const text = readFileSync(`/proc/${this.#pid}/stat`, 'utf8');
    // The process name, in brackets, may contain anything.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const ticks = (first: number): number => Number(fields[first]) + Number(fields[first + 1]);
    return { ownMs: ticks(11) * tickMs, childrenMs: ticks(13) * tickMs };
  }

  residentBytes(): number {
    return statusBytes(this.#pid, 'VmRSS') ?? 0;
  }

  /** Looks at the memory of its child processes every few milliseconds until the promise is settled. */
  async watchChildren<T>(until: Promise<T>): Promise<T> {
    let settled = false;
    const watch = async (): Promise<void> => {
      while (!settled) {
        for (const pid of this.#children())
          this.childrenPeakBytes = Math.max(this.childrenPeakBytes, statusBytes(pid, 'VmHWM') ?? 0);
        await sleep(5);
      }
    };
    const watching = watch();
    try {
      return await until;
    } finally {
      settled = true;
      await watching;
    }
  }

  async stop(): Promise<void> {
    await end(this.#child);
  }

  get #pid(): number {
    if (this.#child.pid === undefined) throw new Error('the proxy did not start');
    return this.#child.pid;
  }

  #children(): number[] {
    try {
      return readFileSync(`/proc/${this.#pid}/task/${this.#pid}/children`, 'utf8')
        .split(' ')
        .filter(Boolean)
        .map(Number);
    } catch {
      return [];
    }
  }
}

/** Returns undefined if the process is gone. */
function statusBytes(pid: number, field: 'VmRSS' | 'VmHWM'): number | undefined {
  try {
    const kilobytes = new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    return undefined;
  }
}
