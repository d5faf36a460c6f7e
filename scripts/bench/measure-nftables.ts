/** Measures nftables mode, next to `nft -f` alone on the same final text. */
import { ApiProcess, nodePlace } from './api-process';
import { type Bench, type BenchNode, startProxy } from './bench';
import type { ClusterSpec } from './cluster-objects';
import { type Figure, median, percentile, printMs } from './figure';
import { measureBig, measureBurst, measureMoves, type MoveTimes } from './measure-change';
import { measureFirstPacket } from './measure-first-packet';
import { measureMemory } from './measure-memory';
import { expectEndpoints } from './measure-start';
import type { Proxy } from './proxy';
import { flushRules } from './rules';
import { timeCalls } from './tool-alone';

const targets = {
  startMs: 3000,
  writeRatio: 0.5,
  restartMs: 2000,
  moveMs: { p50: 8, p99: 25 },
  moveCpuMs: 5,
  burstMs: 150,
  bigServiceMs: 10,
  memoryMB: 180,
  firstPacketRatio: 1.05,
  scale: { startMs: 12_000, moveMs: 10, memoryMB: 400 },
} as const;
const startLimitMs = 180_000;

const title = ({ services, endpoints }: ClusterSpec): string => `${services} x ${endpoints}`;

interface Start {
  /** From process start to rules in force. */
  readonly tookMs: number;
  /** Of it, in which the kernel was read and written. */
  readonly kernelMs: number;
}

async function timeStart(proxy: Proxy): Promise<Start> {
  const tookMs = await proxy.started(startLimitMs);
  const first = proxy.syncs.find(({ family }) => family === 'IPv4');
  return { tookMs, kernelMs: first?.kernelMs ?? Number.NaN };
}

interface Starts {
  readonly starts: readonly Start[];
  /** `nft -f` alone, after each start. */
  readonly aloneMs: readonly number[];
  /** Of the last start. It keeps running. */
  readonly proxy: Proxy;
}

async function measureStarts(bench: Bench, node: BenchNode): Promise<Starts> {
  const { site, sizes, say } = bench;
  const place = nodePlace(node.spec.network);
  const starts: Start[] = [];
  const aloneMs: number[] = [];
  for (let run = 1; ; run++) {
    await flushRules(site, place, 'nftables');
    const proxy = startProxy(bench, node);
    starts.push(await timeStart(proxy));
    const text = await site.run(place, 'nft', ['list', 'ruleset']);
    const alone = await timeCalls(site, 'fresh', 'nftables', [{ name: 'all', family: 4, text }]);
    aloneMs.push(...alone.callsMs);
    say(`start: ${printMs(starts.at(-1)?.tookMs ?? 0)}, nft -f alone ${printMs(aloneMs.at(-1) ?? 0)}`);
    if (run < sizes.starts) {
      await proxy.stop();
      continue;
    }
    await expectEndpoints(bench, node);
    return { starts, aloneMs, proxy };
  }
}

function startFigures(spec: ClusterSpec, { starts, aloneMs }: Starts, targetMs: number): Figure[] {
  const took = starts.map(({ tookMs }) => tookMs);
  const kernel = starts.map(({ kernelMs }) => kernelMs);
  const ratio = median(kernel) / median(aloneMs);
  return [
    {
      what: `${title(spec)}, process start to rules in force, nftables`,
      toReach: `<= ${targetMs / 1000} s`,
      here: printMs(median(took)),
      beside: `nft -f alone ${printMs(median(aloneMs))}`,
      ok: median(took) <= targetMs,
      raw: took,
    },
    {
      what: '  the part of it that writes',
      toReach: `<= ${targets.writeRatio} x nft -f alone`,
      here: printMs(median(kernel)),
      beside: `nft -f alone ${printMs(median(aloneMs))}`,
      ratio,
      ok: ratio <= targets.writeRatio,
      raw: kernel,
    },
  ];
}

/** Starts the proxy over its own unchanged rules. */
async function measureRestart(bench: Bench, node: BenchNode): Promise<{ proxy: Proxy; figure: Figure }> {
  const proxy = startProxy(bench, node);
  const { tookMs } = await timeStart(proxy);
  const bytes = proxy.syncs.reduce((all, sync) => all + sync.bytes, 0);
  return {
    proxy,
    figure: {
      what: `${title(node.spec)}, restart over its own rules, process start to ready, nftables`,
      toReach: `<= ${targets.restartMs / 1000} s, writes nothing`,
      here: `${printMs(tookMs)}, writes ${bytes} B`,
      beside: '',
      ok: tookMs <= targets.restartMs && bytes === 0,
      raw: [tookMs, bytes],
    },
  };
}

function moveFigures(spec: ClusterSpec, moves: MoveTimes, targetMs: { p50: number; p99: number }): Figure[] {
  const { latenciesMs, ownMs, childrenMs, failedProbes, probes } = moves;
  const [p50, p99] = [percentile(latenciesMs, 0.5), percentile(latenciesMs, 0.99)];
  return [
    {
      what: `from the API write to a new connection that reaches the new endpoint, ${title(spec)}, nftables`,
      toReach: `p50 <= ${targetMs.p50} ms, p99 <= ${targetMs.p99} ms`,
      here: `p50 ${printMs(p50)}, p99 ${printMs(p99)}`,
      beside: '',
      ok: p50 <= targetMs.p50 && p99 <= targetMs.p99,
      raw: latenciesMs,
    },
    {
      what: `  of ${probes} connections during that, failed`,
      toReach: '0',
      here: String(failedProbes),
      beside: '',
      ok: failedProbes === 0,
      raw: [failedProbes],
    },
    {
      what: '  CPU time of vipwire for that change',
      toReach: `<= ${targets.moveCpuMs} ms`,
      here: printMs(ownMs + childrenMs),
      beside: `in a second without changes ${printMs(moves.idleMsPerSecond)}`,
      ok: ownMs + childrenMs <= targets.moveCpuMs,
      raw: [ownMs, childrenMs],
    },
  ];
}

export async function measureNftables(bench: Bench): Promise<Figure[]> {
  const { site, sizes } = bench;
  const spec: ClusterSpec = { network: 1, services: sizes.largeServices, endpoints: 10 };
  const api = await ApiProcess.start(site, bench.apiBundle, spec, 'nftables');
  const node: BenchNode = { spec, api, rules: 'nftables' };
  const started = await measureStarts(bench, node);
  await started.proxy.stop();
  const { proxy, figure: restart } = await measureRestart(bench, node);
  const moves = await measureMoves(bench, node, proxy, sizes.moves);
  const bursts: number[] = [];
  for (let turn = 1; turn <= Math.min(3, sizes.starts); turn++)
    bursts.push(await measureBurst(bench, node, proxy, turn));
  await proxy.stop();
  await flushRules(site, nodePlace(spec.network), 'nftables');
  await api.stop();
  const burst: Figure = {
    what: `${sizes.burstSlices} slices change in a burst, ${title(spec)}, nftables`,
    toReach: `<= ${targets.burstMs} ms after the last write`,
    here: printMs(median(bursts)),
    beside: '',
    ok: median(bursts) <= targets.burstMs,
    raw: bursts,
  };
  return [...startFigures(spec, started, targets.startMs), restart, ...moveFigures(spec, moves, targets.moveMs), burst];
}

export async function measureNftablesBig(bench: Bench): Promise<Figure[]> {
  const { site, sizes } = bench;
  const spec: ClusterSpec = { network: 1, services: 100, endpoints: 10, bigService: sizes.bigService };
  const api = await ApiProcess.start(site, bench.apiBundle, spec, 'nftables');
  const node: BenchNode = { spec, api, rules: 'nftables' };
  const proxy = startProxy(bench, node);
  await proxy.started();
  const took = await measureBig(node, proxy);
  const bytes = proxy.syncs.at(-1)?.bytes ?? 0;
  await proxy.stop();
  await flushRules(site, nodePlace(spec.network), 'nftables');
  await api.stop();
  return [
    {
      what: `one of ${sizes.bigService} endpoints of a Service changes, nftables`,
      toReach: `<= ${targets.bigServiceMs} ms`,
      here: `${printMs(median(took))} (max ${printMs(Math.max(...took))}, about ${bytes} B)`,
      beside: '',
      ok: median(took) <= targets.bigServiceMs,
      raw: took,
    },
  ];
}

export function nftablesMemory(bench: Bench): Promise<Figure[]> {
  const spec: ClusterSpec = { network: 1, services: bench.sizes.largeServices, endpoints: 10 };
  return measureMemory(bench, 'nftables', [{ spec, limitMB: targets.memoryMB }]);
}

export async function nftablesFirstPacket(bench: Bench): Promise<Figure[]> {
  const many = { services: bench.sizes.largeServices, rules: 'nftables' } as const;
  const few = { services: 10, rules: 'nftables' } as const;
  const ofIptables = { services: bench.sizes.largeServices, rules: 'nft' } as const;
  return [
    ...(await measureFirstPacket(bench, [many, few], { ratio: targets.firstPacketRatio, beside: '10 Services' })),
    ...(await measureFirstPacket(bench, [many, ofIptables], { ratio: 1, beside: 'as many in iptables mode' })),
  ];
}

/** Measures a very large cluster. */
export async function nftablesScale(bench: Bench): Promise<Figure[]> {
  const { site, sizes } = bench;
  const spec: ClusterSpec = { network: 1, services: sizes.scaleServices, endpoints: 5 };
  const api = await ApiProcess.start(site, bench.apiBundle, spec, 'nftables');
  const node: BenchNode = { spec, api, rules: 'nftables' };
  const started = await measureStarts({ ...bench, sizes: { ...sizes, starts: 1 } }, node);
  const { startMs, moveMs, memoryMB } = targets.scale;
  const moves = await measureMoves(bench, node, started.proxy, sizes.moves);
  await started.proxy.stop();
  await flushRules(site, nodePlace(spec.network), 'nftables');
  await api.stop();
  return [
    ...startFigures(spec, started, startMs),
    ...moveFigures(spec, moves, { p50: moveMs, p99: Number.POSITIVE_INFINITY }),
    ...(await measureMemory(bench, 'nftables', [{ spec, limitMB: memoryMB }])),
  ];
}
