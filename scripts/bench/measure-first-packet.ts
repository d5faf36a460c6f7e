/** Measures how the size of a cluster delays the first packet of a connection. One client alternates between two nodes. */
import { resolve } from 'node:path';
import { clusterIP, loadBalancerIP, nodeAddress, nodePort } from './addresses';
import { ApiProcess, nodePlace } from './api-process';
import { type Bench, startProxy } from './bench';
import type { ClusterSpec } from './cluster-objects';
import { type Figure, median } from './figure';
import { flushRules, modeOf, type Rules, titleOf } from './rules';
import { end } from './site';

interface Target {
  readonly kind: string;
  readonly address: string;
  /** The port in the form of tcp.pl. */
  readonly port: string;
}

/** Returns the last entry of each kind in the order of the dispatch: the one with the highest address or port. */
function lastEntries({ network, services, loadBalancers = 0, empty = 0 }: ClusterSpec): Target[] {
  const vips = Array.from({ length: services }, (_, i) => clusterIP(network, i));
  const balancers = Array.from({ length: loadBalancers }, (_, i) => loadBalancerIP(network, i));
  const last = (addresses: readonly string[]): string => addresses.toSorted((a, b) => order(a) - order(b)).at(-1) ?? '';
  return [
    { kind: 'ClusterIP', address: last(vips.slice(0, services - empty)), port: '80' },
    { kind: 'NodePort', address: nodeAddress(network), port: String(nodePort(loadBalancers - 1)) },
    { kind: 'load-balancer IP', address: last(balancers), port: '80' },
    { kind: 'refused VIP', address: last(vips.slice(services - empty)), port: '80u' },
  ];
}

function order(address: string): number {
  return address.split('.').reduce((total, byte) => total * 256 + Number(byte), 0);
}

/** One of the two nodes of a measurement. */
export interface Side {
  readonly services: number;
  readonly rules: Rules;
}

export interface FirstPacketTarget {
  readonly ratio: number;
  /** What the node is compared with, in words. */
  readonly beside: string;
}

export async function measureFirstPacket(
  bench: Bench,
  sides: readonly [Side, Side],
  target: FirstPacketTarget,
): Promise<Figure[]> {
  const { site } = bench;
  const nodes = sides.map(({ services, rules }, i) => {
    const counts = { loadBalancers: Math.min(2700, Math.ceil(services / 4)), empty: Math.ceil(services / 4) };
    const spec: ClusterSpec = { network: i === 0 ? 1 : 2, services, ...counts, endpoints: 1, allReal: true };
    return { spec, rules };
  });
  const running = await Promise.all(
    nodes.map(async ({ spec, rules }) => {
      const api = await ApiProcess.start(site, bench.apiBundle, spec, modeOf(rules));
      await flushRules(site, nodePlace(spec.network), rules);
      const proxy = startProxy(bench, { spec, api, rules });
      await proxy.started();
      return { api, proxy };
    }),
  );
  // The rules stay in force without the proxies, and nothing else needs the CPU then.
  for (const { api, proxy } of running) {
    await proxy.stop();
    await api.stop();
  }
  const [here = [], beside = []] = nodes.map(({ spec }) => lastEntries(spec));
  const times = await timeConnections(
    bench,
    here.flatMap((entry, i) => [entry, beside[i] ?? entry]),
  );
  for (const { spec, rules } of nodes) await flushRules(site, nodePlace(spec.network), rules);
  const [{ services, rules }] = sides;
  return here.map(({ kind, address, port }, i): Figure => {
    const [hereUs = [], besideUs = []] = [times[2 * i], times[2 * i + 1]];
    const failed = [...hereUs, ...besideUs].filter((us) => us < 0 || Number.isNaN(us)).length;
    if (failed > 0) throw new Error(`${failed} connections to the ${kind} (${address}:${port}) failed`);
    const ratio = median(hereUs) / median(besideUs);
    return {
      what: `first packet to the last ${kind} of ${services} Services, ${titleOf(rules)}`,
      toReach: `<= ${target.ratio} x the time with ${target.beside}`,
      here: `${median(hereUs).toFixed(1)} us`,
      beside: `${target.beside} ${median(besideUs).toFixed(1)} us`,
      ratio,
      ok: ratio <= target.ratio,
      raw: [median(hereUs), median(besideUs)],
    };
  });
}

/** Returns the microseconds of each connection, by target. */
async function timeConnections({ site, sizes }: Bench, targets: readonly Target[]): Promise<number[][]> {
  const script = resolve('scripts/bench/tcp.pl');
  const ends = targets.flatMap(({ address, port }) => [address, port]);
  const stdout = await site.run('client', 'perl', [script, 'connect', String(sizes.connects), ...ends]);
  return stdout.split('\n').map((line) => line.split(' ').map(Number));
}

/** Starts a server that answers on the pods of both nodes. Resolves when it listens, to a function that stops it. */
export async function servePods({ site }: Bench, port: number): Promise<() => Promise<void>> {
  const command = ['perl', resolve('scripts/bench/tcp.pl'), 'serve', String(port)];
  const child = site.spawn('pods', command, ['ignore', 'pipe', 'inherit']);
  await new Promise((ready) => child.stdout?.once('data', ready));
  return () => end(child, 'SIGKILL');
}
