/** Measures one change on a quiet node, how soon it is in force and what it costs, and a burst of changes. */
import { once } from 'node:events';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { movingIP, realPods } from './addresses';
import { nodePlace } from './api-process';
import { type Bench, type BenchNode, quietMs } from './bench';
import { burstServices, type ClusterSpec, endpointsOf } from './cluster-objects';
import { nowMs, type Proxy } from './proxy';
import { endpointsInForce } from './rules';
import { end } from './site';

/** Milliseconds between two connections: 200 a second. */
const probeMs = 5;
const idleMs = 5000;
/** Moves that are not counted, because code is slower when it runs for the first time. An even number ends where it began. */
const warmUpMoves = 4;
/** Longer than a round and the wait before the next one. */
const burstQuietMs = 2500;

export interface MoveTimes {
  /** From the answer to the write until the first connection that reached the new endpoint was complete. */
  readonly latenciesMs: readonly number[];
  /** CPU time per move, of the proxy itself and of its child processes, without what they use when nothing happens. */
  readonly ownMs: number;
  readonly childrenMs: number;
  /** CPU time of both in a second in which nothing happens. */
  readonly idleMsPerSecond: number;
  readonly failedProbes: number;
  readonly probes: number;
}

interface Probe {
  readonly beganMs: number;
  readonly endedMs: number;
  readonly answer: string;
}

/** Opens connections to the moving Service until it is stopped. */
class Prober {
  readonly #child: ReturnType<Bench['site']['spawn']>;

  private constructor(child: ReturnType<Bench['site']['spawn']>) {
    this.#child = child;
  }

  static async start({ site }: Bench, spec: ClusterSpec): Promise<Prober> {
    const script = resolve('scripts/bench/tcp.pl');
    const command = ['perl', script, 'watch', movingIP(spec.network), '80', String(probeMs)];
    const child = site.spawn('client', command, ['ignore', 'pipe', 'inherit']);
    if (child.stdout !== null) await once(child.stdout, 'data');
    return new Prober(child);
  }

  async stop(): Promise<Probe[]> {
    const { stdout } = this.#child;
    let text = '';
    stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const closed = stdout === null ? undefined : once(stdout, 'close');
    await end(this.#child);
    await closed;
    const lines = text.split('\n').filter((line) => line !== '');
    return lines.map((line): Probe => {
      const [began, ended, answer = ''] = line.split(' ');
      return { beganMs: Number(began), endedMs: Number(ended), answer };
    });
  }
}

/** Moves the endpoint of the moving Service back and forth, each time after a quiet second. */
export async function measureMoves(bench: Bench, node: BenchNode, proxy: Proxy, moves: number): Promise<MoveTimes> {
  await proxy.quiet(2 * quietMs);
  for (let n = 1; n <= warmUpMoves; n++) await move(node, proxy, n);
  const idle = await cpuWhile(proxy, () => sleep(Math.min(idleMs, moves * 1000)));
  const prober = await Prober.start(bench, node.spec);
  await sleep(300);
  const writes: Move[] = [];
  const busy = await cpuWhile(proxy, async () => {
    for (let n = 1; n <= moves; n++) writes.push(await move(node, proxy, n));
  });
  const probes = await prober.stop();
  const latenciesMs = writes.flatMap(({ atMs, pod }) => {
    const first = probes.find((probe) => probe.endedMs >= atMs && probe.answer === pod);
    return first === undefined ? [] : [first.endedMs - atMs];
  });
  if (latenciesMs.length < writes.length)
    throw new Error(`${writes.length - latenciesMs.length} moves were never seen`);
  const cost = (part: 'ownMs' | 'childrenMs'): number =>
    Math.max(0, busy[part] - (idle[part] * busy.wallMs) / idle.wallMs) / moves;
  return {
    latenciesMs,
    ownMs: cost('ownMs'),
    childrenMs: cost('childrenMs'),
    idleMsPerSecond: (1000 * (idle.ownMs + idle.childrenMs)) / idle.wallMs,
    failedProbes: probes.filter(({ answer }) => answer === 'failed' || answer === 'closed').length,
    probes: probes.length,
  };
}

interface Move {
  readonly atMs: number;
  readonly pod: string;
}

/** Makes the n-th move, and waits for its sync and for the quiet time after it. */
async function move({ spec, api }: BenchNode, proxy: Proxy, n: number): Promise<Move> {
  const pod = n % 2 === 1 ? 1 : 0;
  const before = proxy.syncs.length;
  const { atMs } = await api.ask({ kind: 'move', pod });
  await proxy.sync(before);
  // The wait varies, so that moves do not fall into step with the probes.
  await sleep(quietMs + ((n * 7) % 11));
  return { atMs, pod: realPods(spec.network)[pod] };
}

async function cpuWhile(
  proxy: Proxy,
  work: () => Promise<void>,
): Promise<{ ownMs: number; childrenMs: number; wallMs: number }> {
  const [before, startedMs] = [proxy.cpu(), nowMs()];
  await work();
  const after = proxy.cpu();
  return {
    ownMs: after.ownMs - before.ownMs,
    childrenMs: after.childrenMs - before.childrenMs,
    wallMs: nowMs() - startedMs,
  };
}

const bigChanges = 10;

/** Replaces an endpoint of the big Service, each time after a quiet second. Returns the milliseconds from the API write to the sync. */
export async function measureBig({ api }: BenchNode, proxy: Proxy): Promise<number[]> {
  const took: number[] = [];
  for (let turn = 1; turn <= bigChanges; turn++) {
    await proxy.quiet(quietMs);
    const before = proxy.syncs.length;
    const { atMs } = await api.ask({ kind: 'big', turn });
    took.push((await proxy.sync(before)).atMs - atMs);
  }
  await api.ask({ kind: 'big', turn: 0 });
  await proxy.quiet(2 * quietMs);
  return took;
}

/** Returns the milliseconds from the answer to the last write until all changes are in force, which is then checked in the kernel. */
export async function measureBurst(
  bench: Bench,
  { spec, api, rules }: BenchNode,
  proxy: Proxy,
  turn: number,
): Promise<number> {
  const slices = bench.sizes.burstSlices;
  await proxy.quiet(quietMs);
  const { atMs } = await api.ask({ kind: 'burst', slices, turn });
  const last = await proxy.quiet(burstQuietMs);
  if (last === undefined || last.atMs < atMs) throw new Error('no sync after the burst');
  const present = new Set(await endpointsInForce(bench.site, nodePlace(spec.network), rules));
  const missing = burstServices(spec, slices).flatMap((service) =>
    endpointsOf(spec, service, turn).filter((address) => !present.has(address)),
  );
  if (missing.length > 0) throw new Error(`${missing.length} endpoints of the burst are not in force`);
  return last.atMs - atMs;
}
