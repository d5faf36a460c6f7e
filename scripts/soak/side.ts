/** One side of a soak: one proxy, the connections through it, and their results. Both sides open the same connections. */
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { withoutCounters } from '../../test/support/kube-proxy-rules';
import { vipwire } from '../../test/support/lab/proxied-node';
import type { SteadyReport } from '../../test/support/prober-steady';
import { clients, clusterObjects, frontends } from './cluster';
import { type Counters, readCounters } from './counters';
import { SoakLab } from './lab';

export interface SoakRequest {
  readonly seconds: number;
  /** New connections per second, through all frontends together. */
  readonly rate: number;
}

export interface FrontendReport {
  readonly name: string;
  readonly attempts: number;
  /** The number of lost connections by outcome, such as `timeout`. */
  readonly lost: Readonly<Record<string, number>>;
  readonly p99Ms: number;
  /** The longest time for which one of its clients could not run. */
  readonly heldUpMs: number;
}

export interface SideReport {
  readonly proxy: string;
  readonly frontends: readonly FrontendReport[];
  readonly before: Counters;
  readonly after: Counters;
  /** Says how the proxy ended; '' if it ran to the end. */
  readonly ended: string;
}

/** When a connection times out, its three SYNs, sent at 0, 1 and 3 s, were lost. */
export const patienceMs = 6000;

export class SoakSide {
  readonly #lab: SoakLab;

  constructor(readonly proxy: 'vipwire' | 'kube-proxy') {
    this.#lab = new SoakLab(`vwsoak${process.pid}-${proxy === 'vipwire' ? 'v' : 'k'}`);
  }

  /** Resolves when the rules are in force and every client got one answer. Call stop even if it rejects. */
  async start(): Promise<void> {
    await this.#lab.start();
    await (this.proxy === 'vipwire' ? this.#startVipwire() : this.#restoreRecorded());
    for (const n of clients)
      for (const { name, to, port } of frontends) {
        const [answer] = await this.#lab.station(`c${n}`).call('probe', { to, port, timeoutMs: 10_000 });
        if (answer?.outcome !== 'ok')
          throw new Error(
            `${this.proxy}: ${name} (${to}:${port}) does not answer client ${n}: ${answer?.outcome ?? ''}`,
          );
      }
  }

  async soak({ seconds, rate }: SoakRequest): Promise<SideReport> {
    const before = await readCounters(this.#lab);
    const perSecond = rate / (clients.length * frontends.length);
    const started = await Promise.all(
      clients.flatMap((n) =>
        frontends.map(async ({ name, to, port }) => {
          const station = this.#lab.station(`c${n}`);
          const request = { to, port, perSecond, timeoutMs: patienceMs };
          const { id } = await station.call('steady-start', request);
          return { name, stop: () => station.call('steady-stop', { id }) };
        }),
      ),
    );
    await sleep(seconds * 1000);
    const reports = await Promise.all(started.map(async ({ name, stop }) => ({ name, report: await stop() })));
    const after = await readCounters(this.#lab);
    const end = this.#lab.proxyEnd;
    const ended = end === undefined ? '' : `${this.proxy} ended (${end})`;
    return { proxy: this.proxy, frontends: frontends.map(({ name }) => sumUp(name, reports)), before, after, ended };
  }

  stop(): Promise<void> {
    return this.#lab.stop();
  }

  async #startVipwire(): Promise<void> {
    const { directory } = this.#lab;
    const [manifests, logFile] = [join(directory, 'cluster.json'), join(directory, 'log')];
    writeFileSync(manifests, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: clusterObjects }));
    const log = openSync(logFile, 'w');
    const flags = ['--hostname-override=node', '--cluster-cidr=10.244.0.0/16', '--iptables-variant=nft'];
    this.#lab.startProxy([...vipwire, `--manifests=${manifests}`, ...flags], log);
    closeSync(log);
    for (let waitedMs = 0; waitedMs < 30_000; waitedMs += 100) {
      if (/"synced" family="IPv4"/.test(readFileSync(logFile, 'utf8'))) return;
      await sleep(100);
    }
    throw new Error(`vipwire has no rules in force:\n${readFileSync(logFile, 'utf8').slice(-2000)}`);
  }

  async #restoreRecorded(): Promise<void> {
    const rules = readFileSync(join('scripts', 'soak', 'kube-proxy-1.36.rules'), 'utf8');
    await this.#lab.run('node', 'iptables-nft-restore', [], withoutCounters(rules));
  }
}

function sumUp(name: string, all: readonly { readonly name: string; readonly report: SteadyReport }[]): FrontendReport {
  const reports = all.filter((one) => one.name === name).map(({ report }) => report);
  const lost: Record<string, number> = {};
  for (const { outcome } of reports.flatMap(({ failures }) => failures)) lost[outcome] = (lost[outcome] ?? 0) + 1;
  return {
    name,
    attempts: reports.reduce((sum, { attempts }) => sum + attempts, 0),
    lost,
    p99Ms: Math.max(...reports.map(({ latencyMs }) => latencyMs.p99)),
    heldUpMs: Math.max(...reports.map(({ longestPauseMs }) => longestPauseMs)),
  };
}
