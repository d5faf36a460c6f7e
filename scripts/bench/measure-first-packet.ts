/** Measures how the size of a cluster delays the first packet of a connection. One client alternates between two nodes. */
import { resolve } from 'node:path';
import { clusterIP, loadBalancerIP, nodeAddress, nodePort } from './addresses';
import { ApiProcess, nodePlace } from './api-process';
import { type Bench, startProxy } from './bench';
import type { ClusterSpec } from './cluster-objects';
import { type Figure, median } from './figure';
import { end } from './site';
import { flushRules } from './tool-alone';

const target = 1.3;

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

export async function measureFirstPacket(bench: Bench): Promise<Figure[]> {
  const { site, sizes } = bench;
  const many = sizes.largeServices;
  const common = { endpoints: 1, allReal: true } as const;
  const specs: ClusterSpec[] = [
    { network: 1, services: many, loadBalancers: Math.min(2700, many / 4), empty: many / 4, ...common },
    { network: 2, services: 10, loadBalancers: 3, empty: 3, ...common },
  ];
  const running = await Promise.all(
    specs.map(async (spec) => {
      const api = await ApiProcess.start(site, bench.apiBundle, spec);
      await flushRules(site, nodePlace(spec.network), 'nft');
      const proxy = startProxy(bench, { spec, api, variant: 'nft' });
      await proxy.started();
      return { api, proxy };
    }),
  );
  // The rules stay in force without the proxies, and nothing else needs the CPU then.
  for (const { api, proxy } of running) {
    await proxy.stop();
    await api.stop();
  }
  const [large = [], small = []] = specs.map(lastEntries);
  const targets = large.flatMap((entry, i) => [entry, small[i] ?? entry]);
  const script = resolve('scripts/bench/tcp.pl');
  const ends = targets.flatMap(({ address, port }) => [address, port]);
  const stdout = await site.run('client', 'perl', [script, 'connect', String(sizes.connects), ...ends]);
  const times = stdout.split('\n').map((line) => line.split(' ').map(Number));
  return large.map(({ kind, address, port }, i): Figure => {
    const [here = [], beside = []] = [times[2 * i], times[2 * i + 1]];
    const failed = [...here, ...beside].filter((us) => us < 0 || Number.isNaN(us)).length;
    if (failed > 0) throw new Error(`${failed} connections to the ${kind} (${address}:${port}) failed`);
    const ratio = median(here) / median(beside);
    return {
      what: `first packet to the last ${kind} of ${many} Services`,
      toReach: `<= ${target} x the time with 10 Services`,
      here: `${median(here).toFixed(1)} us`,
      beside: `10 Services ${median(beside).toFixed(1)} us`,
      ratio,
      ok: ratio <= target,
      raw: [median(here), median(beside)],
    };
  });
}

/** Starts a server that answers on the pods of both nodes. Resolves when it listens, to a function that stops it. */
export async function servePods({ site }: Bench, port: number): Promise<() => Promise<void>> {
  const command = ['perl', resolve('scripts/bench/tcp.pl'), 'serve', String(port)];
  const child = site.spawn('pods', command, ['ignore', 'pipe', 'inherit']);
  await new Promise((ready) => child.stdout?.once('data', ready));
  return () => end(child, 'SIGKILL');
}
