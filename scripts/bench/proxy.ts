/** The proxy that is measured: its process, its lines about syncs, its CPU and memory. */
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Variant } from '../../src/xtables/variant';
import { end, type Place, type Site } from './site';

export interface SyncLine {
  /** When it came, on the clock of all processes. */
  readonly atMs: number;
  readonly family: string;
  readonly rules: number;
  readonly bytes: number;
  readonly calls: number;
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
  readonly variant: Variant;
  /** Before the rest of PATH. */
  readonly path?: string;
  readonly nodeArguments?: readonly string[];
}

/** Of /proc/PID/stat: USER_HZ. */
const tickMs = 10;

export const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;

export class Proxy {
  readonly syncs: SyncLine[] = [];
  readonly startedMs = nowMs();
  /** The largest resident set of any of its children. */
  childrenPeakBytes = 0;
  private readonly child: ChildProcess;
  private readonly log: string[] = [];

  constructor({ site, place, bundle, configFile, variant, path, nodeArguments = [] }: ProxyOptions) {
    const flags = ['run', '--config', configFile, '--hostname-override', 'node'];
    this.child = site.spawn(
      place,
      [process.execPath, ...nodeArguments, bundle, ...flags],
      ['ignore', 'ignore', 'pipe'],
      { VIPWIRE_IPTABLES: variant, ...(path === undefined ? {} : { PATH: `${path}:${process.env['PATH'] ?? ''}` }) },
    );
    if (this.child.stderr !== null) createInterface({ input: this.child.stderr }).on('line', (line) => this.read(line));
  }

  private read(line: string): void {
    this.log.push(line);
    const [, family, rest] = /"synced" family="(\w+)" (.*)$/.exec(line) ?? [];
    if (family === undefined || rest === undefined) return;
    const field = (name: string): number => Number(new RegExp(`\\b${name}=(\\d+)`).exec(rest)?.[1]);
    this.syncs.push({ atMs: nowMs(), family, rules: field('rules'), bytes: field('bytes'), calls: field('calls') });
  }

  /** Waits for a line that satisfies. */
  private async until<T>(what: string, timeoutMs: number, look: () => T | undefined): Promise<T> {
    const deadline = nowMs() + timeoutMs;
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      if (this.child.exitCode !== null || this.child.signalCode !== null || nowMs() > deadline)
        throw new Error(
          `${what}: not within ${timeoutMs / 1000} s; the proxy said:\n${this.log.slice(-10).join('\n')}`,
        );
      await sleep(2);
    }
  }

  /** Milliseconds from the process's start to the rules of both families in force. */
  async started(timeoutMs = 90_000): Promise<number> {
    const first = (family: string): SyncLine | undefined => this.syncs.find((sync) => sync.family === family);
    const at = await this.until('start', timeoutMs, () => {
      const [v4, v6] = [first('IPv4'), first('IPv6')];
      return v4 && v6 && Math.max(v4.atMs, v6.atMs);
    });
    return at - this.startedMs;
  }

  /** The next sync after this many. */
  async sync(after: number, timeoutMs = 20_000): Promise<SyncLine> {
    return this.until('sync', timeoutMs, () => this.syncs[after]);
  }

  /** The last sync of all, once none came for this long. */
  async quiet(quietMs: number): Promise<SyncLine | undefined> {
    const since = nowMs();
    while (nowMs() - Math.max(since, this.syncs.at(-1)?.atMs ?? 0) < quietMs) await sleep(10);
    return this.syncs.at(-1);
  }

  cpu(): CpuTime {
    const text = readFileSync(`/proc/${this.pid}/stat`, 'utf8');
    // The name, in brackets, may hold anything.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const ticks = (first: number): number => Number(fields[first]) + Number(fields[first + 1]);
    return { ownMs: ticks(11) * tickMs, childrenMs: ticks(13) * tickMs };
  }

  residentBytes(): number {
    return statusBytes(this.pid, 'VmRSS') ?? 0;
  }

  /** Looks at its children every few milliseconds until the promise is settled. */
  async watchChildren<T>(until: Promise<T>): Promise<T> {
    let settled = false;
    const watch = async (): Promise<void> => {
      while (!settled) {
        for (const pid of this.children())
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
    await end(this.child);
  }

  private get pid(): number {
    if (this.child.pid === undefined) throw new Error('the proxy did not start');
    return this.child.pid;
  }

  private children(): number[] {
    try {
      return readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
    } catch {
      return [];
    }
  }
}

/** undefined: the process is gone. */
function statusBytes(pid: number, field: 'VmRSS' | 'VmHWM'): number | undefined {
  try {
    const kilobytes = new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    return undefined;
  }
}
