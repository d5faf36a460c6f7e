/** Measures the figures of the table, in groups that share a cluster. */
import type { Variant } from '../../src/xtables/variant';
import { ApiProcess, nodePlace } from './api-process';
import { type Bench, type IptablesNode, recordCalls, startProxy } from './bench';
import type { ClusterSpec } from './cluster-objects';
import { type Figure, median, percentile, printMs } from './figure';
import { measureBig, measureBurst, measureMoves, type MoveTimes } from './measure-change';
import { measureFirstPacket } from './measure-first-packet';
import { measureIpvsChange, measureIpvsMemory, measureIpvsServers, measureIpvsStart } from './measure-ipvs';
import { measureMemory } from './measure-memory';
import {
  measureNftables,
  measureNftablesBig,
  nftablesFirstPacket,
  nftablesMemory,
  nftablesScale,
} from './measure-nftables';
import { measureOneService } from './measure-one-service';
import { backends, measureOwnWork } from './measure-own-work';
import { measureStart } from './measure-start';
import { flushRules } from './rules';
import { timeCalls, type ToolTime } from './tool-alone';

/** The groups of IPVS mode. scripts/bench-ipvs runs each of them in a guest of its own. */
export const ipvsGroupNames = ['ipvs-servers', 'ipvs-start', 'ipvs-change', 'ipvs-memory'] as const;
export const plainGroupNames = [
  'own-work',
  'one-service',
  'few',
  'nft',
  'legacy',
  'memory',
  'first-packet',
  'nftables',
  'nftables-big',
  'nftables-memory',
  'nftables-first-packet',
] as const;
/** Groups that take long, and run only when they are asked for. */
export const longGroupNames = ['scale'] as const;
export type GroupName =
  | (typeof plainGroupNames)[number]
  | (typeof ipvsGroupNames)[number]
  | (typeof longGroupNames)[number];

const targets = {
  moveMs: { nft: 80, legacy: 400 },
  moveCpuMs: 100,
  ownCpuRatio: 2,
  burstMs: 1500,
  bigServiceMs: 300,
  firstPacketRatio: 1.3,
} as const;
const fewServices = 100;
/** How often the tool alone is timed on a change and its reverse. */
const toolRepeats = 10;

/** CPU time of the proxy itself for a change in a small cluster; undefined until that was measured. */
let fewOwnMs: number | undefined;

export async function measureGroup(name: GroupName, bench: Bench): Promise<Figure[]> {
  switch (name) {
    case 'own-work':
      return measureOwnWork({ network: 1, services: bench.sizes.largeServices, endpoints: 10 });
    case 'one-service':
      return measureOneService(backends);
    case 'few':
      return measureFew(bench);
    case 'nft':
    case 'legacy':
      return measureMany(bench, name);
    case 'memory':
      return measureMemory(bench, 'nft', [
        { spec: { network: 1, services: bench.sizes.largeServices, endpoints: 10 }, limitMB: 220 },
        { spec: { network: 2, services: 10, endpoints: 10 }, limitMB: 90 },
      ]);
    case 'first-packet':
      return measureFirstPacket(
        bench,
        [
          { services: bench.sizes.largeServices, rules: 'nft' },
          { services: 10, rules: 'nft' },
        ],
        { ratio: targets.firstPacketRatio, beside: '10 Services' },
      );
    case 'nftables':
      return measureNftables(bench);
    case 'nftables-big':
      return measureNftablesBig(bench);
    case 'nftables-memory':
      return nftablesMemory(bench);
    case 'nftables-first-packet':
      return nftablesFirstPacket(bench);
    case 'scale':
      return nftablesScale(bench);
    case 'ipvs-servers':
      return measureIpvsServers(bench);
    case 'ipvs-start':
      return measureIpvsStart(bench);
    case 'ipvs-change':
      return measureIpvsChange(bench);
    case 'ipvs-memory':
      return measureIpvsMemory(bench);
  }
}

const backAndForth = [
  { kind: 'move', pod: 1 },
  { kind: 'move', pod: 0 },
] as const;

async function repeatCalls(
  bench: Bench,
  spec: ClusterSpec,
  variant: Variant,
  calls: Parameters<typeof timeCalls>[3],
): Promise<ToolTime> {
  const repeated = Array.from({ length: toolRepeats }, () => calls).flat();
  return timeCalls(bench.site, nodePlace(spec.network), variant, repeated);
}

async function measureMany(bench: Bench, variant: Variant): Promise<Figure[]> {
  const { site, sizes } = bench;
  const spec: ClusterSpec = { network: 1, services: sizes.services, endpoints: 10 };
  const api = await ApiProcess.start(site, bench.apiBundle, spec);
  const node: IptablesNode = { spec, api, rules: variant };
  const recorded = await recordCalls(bench, node, backAndForth);
  const { figures, proxy } = await measureStart(bench, node, recorded);
  const moves = await measureMoves(bench, node, proxy, variant === 'nft' ? sizes.moves : Math.ceil(sizes.moves / 2));
  const bursts: number[] = [];
  for (let turn = 1; turn <= Math.min(3, sizes.starts); turn++)
    bursts.push(await measureBurst(bench, node, proxy, turn));
  await proxy.stop();
  const tool = await repeatCalls(bench, spec, variant, recorded.move);
  await flushRules(site, nodePlace(spec.network), variant);
  await api.stop();
  const burst: Figure = {
    what: `${sizes.burstSlices} slices change in a burst, ${spec.services} x ${spec.endpoints}, iptables-${variant}`,
    toReach: variant === 'nft' ? `<= ${targets.burstMs / 1000} s after the last write` : '',
    here: printMs(median(bursts)),
    beside: '',
    ...(variant === 'nft' ? { ok: median(bursts) <= targets.burstMs } : {}),
    raw: bursts,
  };
  return [...figures, ...moveFigures(spec, variant, moves, tool), burst];
}

function moveFigures(spec: ClusterSpec, variant: Variant, moves: MoveTimes, tool: ToolTime): Figure[] {
  const { latenciesMs, failedProbes, probes } = moves;
  const size = `${spec.services} x ${spec.endpoints}`;
  const [p50, p99, toolMs] = [percentile(latenciesMs, 0.5), percentile(latenciesMs, 0.99), median(tool.callsMs)];
  return [
    {
      what: `from the API write to a new connection that reaches the new endpoint, ${size}, iptables-${variant}`,
      toReach: `p50 <= ${targets.moveMs[variant]} ms`,
      here: `p50 ${printMs(p50)}, p99 ${printMs(p99)}`,
      beside: `the tool alone ${printMs(toolMs)}`,
      ratio: p50 / toolMs,
      ok: p50 <= targets.moveMs[variant],
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
    ...cpuFigures(variant, moves, tool.cpuMs / tool.callsMs.length),
  ];
}

/** @param toolCpuMs is the CPU time of the tool alone per call. */
function cpuFigures(variant: Variant, { ownMs, childrenMs, idleMsPerSecond }: MoveTimes, toolCpuMs: number): Figure[] {
  const few = fewOwnMs;
  const isNft = variant === 'nft';
  return [
    {
      what: `CPU time of vipwire and its child processes for that change, iptables-${variant}`,
      toReach: isNft ? `<= ${targets.moveCpuMs} ms` : '',
      here: printMs(ownMs + childrenMs),
      beside: `the tool alone ${printMs(toolCpuMs)}`,
      ratio: (ownMs + childrenMs) / toolCpuMs,
      ...(isNft ? { ok: ownMs + childrenMs <= targets.moveCpuMs } : {}),
      raw: [ownMs, childrenMs],
    },
    {
      what: `  the part of it outside of the restore, iptables-${variant}`,
      toReach: isNft ? `<= ${targets.ownCpuRatio} x at ${fewServices} x 10` : '',
      here: printMs(ownMs),
      beside: few === undefined ? '' : `${fewServices} x 10 ${printMs(few)}`,
      ...(few === undefined
        ? {}
        : { ratio: ownMs / few, ...(isNft ? { ok: ownMs <= targets.ownCpuRatio * few } : {}) }),
      raw: [ownMs],
    },
    {
      what: `  CPU time in a second without changes, iptables-${variant}`,
      toReach: '',
      here: printMs(idleMsPerSecond),
      beside: '',
      raw: [idleMsPerSecond],
    },
  ];
}

/** Measures a cluster of a hundred Services, and one more with thousands of endpoints. */
async function measureFew(bench: Bench): Promise<Figure[]> {
  const { site, sizes } = bench;
  const spec: ClusterSpec = { network: 1, services: fewServices, endpoints: 10, bigService: sizes.bigService };
  const api = await ApiProcess.start(site, bench.apiBundle, spec);
  const node: IptablesNode = { spec, api, rules: 'nft' };
  const recorded = await recordCalls(bench, node, [
    { kind: 'big', turn: 1 },
    { kind: 'big', turn: 0 },
  ]);
  const proxy = startProxy(bench, node);
  await proxy.started();
  const moves = await measureMoves(bench, node, proxy, Math.ceil(sizes.moves / 2));
  fewOwnMs = moves.ownMs;
  const took = await measureBig(node, proxy);
  await proxy.stop();
  const tool = await repeatCalls(bench, spec, 'nft', recorded.move);
  await flushRules(site, nodePlace(spec.network), 'nft');
  await api.stop();
  const bytes = Math.max(...recorded.move.map(({ text }) => text.length));
  const ratio = median(took) / median(tool.callsMs);
  return [
    {
      what: `one of ${sizes.bigService} endpoints of a Service changes`,
      toReach: `<= ${targets.bigServiceMs} ms`,
      here: `${printMs(median(took))} (max ${printMs(Math.max(...took))}, ${bytes} B)`,
      beside: `the tool alone ${printMs(median(tool.callsMs))}`,
      ratio,
      ok: median(took) <= targets.bigServiceMs,
      raw: took,
    },
  ];
}
