/** Measures IPVS mode, on a kernel that has IPVS. */
import { buildSync } from 'esbuild';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ApiProcess, nodePlace } from './api-process';
import { type Bench, type BenchNode, startProxy } from './bench';
import type { ClusterSpec } from './cluster-objects';
import { type Figure, median, percentile, printMs } from './figure';
import { measureMoves } from './measure-change';
import { residentAfterRest } from './measure-memory';

/** Milliseconds, as scripts/bench/ipvs-servers.ts prints them. */
export interface ServerTimes {
  readonly netlinkMs: number;
  readonly toolMs: number;
  /** The time to read all of them. */
  readonly readMs: number;
  /** The longest time for which reading held the event loop. */
  readonly heldMs: number;
}

const targets = { toolRatio: 0.5, readMs: 1500, heldMs: 50, startMs: 6000, moveMs: 150, memoryRatio: 1.2 } as const;
const startServices = 1000;
const changeServices = 300;

function expectIpvs(): void {
  if (!existsSync('/proc/net/ip_vs'))
    throw new Error('this kernel has no IPVS: use scripts/bench-ipvs, which starts one that has it');
}

export async function measureIpvsServers({ site, sizes }: Bench): Promise<Figure[]> {
  expectIpvs();
  const program = join(site.directory, 'ipvs-servers.cjs');
  buildSync({
    entryPoints: ['scripts/bench/ipvs-servers.ts'],
    outfile: program,
    bundle: true,
    platform: 'node',
    target: 'node20',
    // The addon finds its prebuilt file relative to its own folder.
    external: ['netlink'],
    supported: { 'dynamic-import': false },
    logLevel: 'warning',
  });
  const [services, endpoints] = [sizes.services, 10];
  const script = `ip link set lo up && NODE_PATH=${resolve('node_modules')} exec "$@"`;
  const command = [process.execPath, program, String(services), String(endpoints)];
  const told = await site.run('fresh', 'sh', ['-c', script, 'sh', ...command]);
  const { netlinkMs, toolMs, readMs, heldMs } = JSON.parse(told) as ServerTimes;
  const size = `${services} x ${endpoints}`;
  return [
    {
      what: `${size} virtual servers, first to last netlink message`,
      toReach: `<= ${targets.toolRatio} x ipvsadm --restore`,
      here: printMs(netlinkMs),
      beside: `ipvsadm --restore ${printMs(toolMs)}`,
      ratio: netlinkMs / toolMs,
      ok: netlinkMs <= targets.toolRatio * toolMs,
      raw: [netlinkMs, toolMs],
    },
    {
      what: `reading ${size} virtual servers`,
      toReach: `<= ${targets.readMs} ms, event loop held <= ${targets.heldMs} ms`,
      here: `${printMs(readMs)}, held ${printMs(heldMs)}`,
      beside: '',
      ok: readMs <= targets.readMs && heldMs <= targets.heldMs,
      raw: [readMs, heldMs],
    },
  ];
}

/** Measures starts, each on a node without rules. The first one in a fresh guest also reads Node.js and loads kernel modules. */
export async function measureIpvsStart(bench: Bench): Promise<Figure[]> {
  expectIpvs();
  const spec: ClusterSpec = { network: 1, services: startServices, endpoints: 10 };
  const api = await ApiProcess.start(bench.site, bench.apiBundle, spec, 'ipvs');
  const took: number[] = [];
  for (let run = 0; run < bench.sizes.starts; run++) {
    const proxy = startProxy(bench, { spec, api, rules: 'legacy' });
    took.push(await proxy.started());
    await proxy.stop();
    await bench.site.run(nodePlace(spec.network), process.execPath, [bench.bundle, 'cleanup']);
  }
  await api.stop();
  const ms = median(took);
  return [
    {
      what: `${spec.services} x ${spec.endpoints}, process start to everything in force, ipvs`,
      toReach: `<= ${targets.startMs / 1000} s`,
      here: printMs(ms),
      beside: `the first start in a fresh guest ${printMs(took[0] ?? Number.NaN)}`,
      ok: ms <= targets.startMs,
      raw: took,
    },
  ];
}

export async function measureIpvsChange(bench: Bench): Promise<Figure[]> {
  expectIpvs();
  const spec: ClusterSpec = { network: 1, services: changeServices, endpoints: 10 };
  const api = await ApiProcess.start(bench.site, bench.apiBundle, spec, 'ipvs');
  const node: BenchNode = { spec, api, rules: 'legacy' };
  const proxy = startProxy(bench, node);
  await proxy.started();
  const { latenciesMs, ownMs, failedProbes, probes } = await measureMoves(bench, node, proxy, bench.sizes.moves);
  await proxy.stop();
  await api.stop();
  const [p50, p99] = [percentile(latenciesMs, 0.5), percentile(latenciesMs, 0.99)];
  return [
    {
      what: `from the API write to a new connection that reaches the new endpoint, ${spec.services} x ${spec.endpoints}, ipvs`,
      toReach: `p50 <= ${targets.moveMs} ms`,
      here: `p50 ${printMs(p50)}, p99 ${printMs(p99)}`,
      beside: `CPU of vipwire ${printMs(ownMs)}`,
      ok: p50 <= targets.moveMs,
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
  ];
}

export async function measureIpvsMemory(bench: Bench): Promise<Figure[]> {
  expectIpvs();
  const spec: ClusterSpec = { network: 1, services: bench.sizes.largeServices, endpoints: 10 };
  const ipvs = await residentAfterRest(bench, spec, 'legacy', 'ipvs');
  const iptables = await residentAfterRest(bench, spec, 'legacy', 'iptables');
  const ratio = ipvs.residentBytes / iptables.residentBytes;
  const inMB = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;
  return [
    {
      what: `resident memory, ${spec.services} x ${spec.endpoints}, ${bench.sizes.restMs / 1000} s after the sync, ipvs`,
      toReach: `<= ${targets.memoryRatio} x iptables mode`,
      here: inMB(ipvs.residentBytes),
      beside: `iptables mode ${inMB(iptables.residentBytes)}`,
      ratio,
      ok: ratio <= targets.memoryRatio,
      raw: [ipvs.residentBytes, iptables.residentBytes],
    },
  ];
}
