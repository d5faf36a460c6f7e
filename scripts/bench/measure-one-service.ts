/** Measures the work for one Service in this process: when each of its sizes is doubled, and how long it holds the event loop. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Backend } from '../../src/backends/backend';
import type { EndpointSlice, Service } from '../../src/model/cluster';
import { ClusterStore } from '../../src/model/cluster-store';
import { finishWithPauses } from '../../src/model/pieces';
import type { NodeSettings } from '../../src/planner/plan';
import { planChangesInPieces, applyPlanChanges } from '../../src/planner/plan-changes';
import { planCluster, planClusterInPieces } from '../../src/planner/plan-cluster';
import { timeSlices } from '../../src/model/time-slice';
import { makeEndpoint, makeService, makeSlice } from '../../test/support/cluster-objects';
import { makeSettings } from '../../test/support/settings';
import { type Figure, median, printMs } from './figure';

const modes = ['iptables', 'ipvs', 'nftables'] as const;
type Mode = (typeof modes)[number];
export type Backends = Readonly<Record<Mode, () => Backend<unknown>>>;

interface Size {
  readonly ports: number;
  readonly endpoints: number;
  readonly externalIPs: number;
  readonly ranges: number;
  /** The number of zones in the hints of each endpoint. */
  readonly hints: number;
}

/** Has more chains than fit in one call, so that doubling a size does not turn one call into several. */
const usual: Size = { ports: 60, endpoints: 200, externalIPs: 20, ranges: 40, hints: 8 };
const large: Size = { ports: 50, endpoints: 1000, externalIPs: 1, ranges: 0, hints: 1 };
const sizeNames = ['ports', 'endpoints', 'externalIPs', 'ranges', 'hints'] as const satisfies readonly (keyof Size)[];
const repeats = 7;
/** Doubling a size may double the time; the rest is for the variation of the machine. */
const mostRatio = 3;
const holdMs = 50;
const endpointsPerSlice = 100;

const settings: NodeSettings = makeSettings({ hostAddresses: ['192.168.88.10'] });

const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const quad = (network: string, n: number): string => `${network}.${Math.floor(n / 250)}.${(n % 250) + 1}`;

function serviceOf({ ports, externalIPs, ranges }: Size): Service {
  return makeService({
    ports: numbers(ports).map((i) => ({ name: `p${i}`, protocol: 'TCP', port: 1000 + i, nodePort: 0 })),
    externalIPs: numbers(externalIPs).map((i) => quad('198.51', i)),
    loadBalancerIPs: ['203.0.113.1'],
    sourceRanges: numbers(ranges).map((i) => `172.16.${i}.0/24`),
  });
}

/** Returns the slices. Each `turn` has another address for one endpoint. */
function slicesOf({ ports, endpoints, hints }: Size, turn: number): EndpointSlice[] {
  const zones = ['z1', ...numbers(hints - 1).map((i) => `other-${i}`)];
  const all = numbers(endpoints).map((i) =>
    makeEndpoint(quad('10.100', i === endpoints >> 1 ? endpoints + turn : i), { zoneHints: zones }),
  );
  const slicePorts = numbers(ports).map((i) => ({ name: `p${i}`, protocol: 'TCP' as const, port: 2000 + i }));
  return numbers(Math.ceil(endpoints / endpointsPerSlice)).map((i) =>
    makeSlice(all.slice(i * endpointsPerSlice, (i + 1) * endpointsPerSlice), { name: `web-${i}`, ports: slicePorts }),
  );
}

function fill(store: ClusterStore, size: Size, turn: number): void {
  const objects = [serviceOf(size), ...slicesOf(size, turn)];
  store.apply(objects.map((object) => ({ op: 'set', object })));
}

type Times = Readonly<Record<'plan' | 'render' | 'diff', number>>;

/** Times the work from nothing, with a new backend each time. Returns the shortest times, since other work on the machine adds to them. */
function timesOf(size: Size, makeBackend: () => Backend<unknown>): Times {
  const store = new ClusterStore(0);
  fill(store, size, 0);
  const taken: Record<keyof Times, number[]> = { plan: [], render: [], diff: [] };
  const timed = <T>(what: keyof Times, work: () => T): T => {
    const startedMs = performance.now();
    const result = work();
    taken[what].push(performance.now() - startedMs);
    return result;
  };
  for (let turn = 0; turn < repeats; turn++) {
    const backend = makeBackend();
    const plan = timed('plan', () => planCluster(store, 'IPv4', settings));
    timed('render', () => {
      backend.render(plan);
    });
    timed('diff', () => {
      const batch = backend.diff();
      if (batch !== undefined) backend.size(batch);
    });
  }
  return { plan: Math.min(...taken.plan), render: Math.min(...taken.render), diff: Math.min(...taken.diff) };
}

/** Compares the times for each size, doubled, with those for the usual sizes. */
function doubled(mode: Mode, backend: () => Backend<unknown>): Figure[] {
  timesOf(usual, backend);
  const once = timesOf(usual, backend);
  return sizeNames.map((what) => {
    const twice = timesOf({ ...usual, [what]: 2 * usual[what] }, backend);
    const parts = ['plan', 'render', 'diff'] as const;
    const ratios = parts.map((part) => twice[part] / once[part]);
    const worst = Math.max(...ratios);
    const print = (times: Times): string => parts.map((part) => printMs(times[part])).join(' / ');
    return {
      what: `time to plan / render / diff one Service with twice the ${what} (${usual[what]}), ${mode}`,
      toReach: `<= ${mostRatio} x each`,
      here: `${print(twice)} (${ratios.map((ratio) => ratio.toFixed(1)).join(' / ')} x)`,
      beside: print(once),
      ratio: worst,
      ok: worst <= mostRatio,
      raw: [...parts.map((part) => once[part]), ...parts.map((part) => twice[part])],
    };
  });
}

const turnOfLoop = (): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, 5);
  });

/** Returns the longest time in milliseconds for which the work held the event loop, less the resolution of the histogram. */
async function longestHold(work: () => Promise<void>): Promise<number> {
  const resolution = 1;
  const histogram = monitorEventLoopDelay({ resolution });
  histogram.enable();
  await turnOfLoop();
  histogram.reset();
  await work();
  await turnOfLoop();
  histogram.disable();
  return Math.max(0, histogram.max / 1e6 - resolution);
}

interface Holds {
  readonly first: number;
  readonly change: number;
}

/** Measures the work as the reconciler does it, in pieces and with its time slices. */
async function holdsOf(backend: Backend<unknown>): Promise<Holds> {
  const store = new ClusterStore(0);
  fill(store, large, 0);
  store.takeChanged();
  const pause = timeSlices();
  let plan = planCluster(new ClusterStore(0), 'IPv4', settings);
  const compare = async (): Promise<unknown> => {
    const batch = backend.diffPieces ? await finishWithPauses(backend.diffPieces(), pause) : backend.diff();
    if (batch === undefined) throw new Error('nothing differs');
    if (backend.sizePieces) await finishWithPauses(backend.sizePieces(batch), pause);
    else backend.size(batch);
    return batch;
  };
  let batch: unknown;
  const first = await longestHold(async () => {
    plan = await finishWithPauses(planClusterInPieces(store, 'IPv4', settings), pause);
    await finishWithPauses(backend.renderPieces(plan), pause);
    batch = await compare();
  });
  backend.assumeApplied(batch);
  const changes: number[] = [];
  for (let turn = 1; turn <= repeats; turn++) {
    fill(store, large, turn);
    const keys = store.takeChanged().services;
    const hold = await longestHold(async () => {
      const planned = await finishWithPauses(planChangesInPieces(plan, store, keys), pause);
      applyPlanChanges(plan, planned);
      await finishWithPauses(backend.renderPieces(plan, planned), pause);
      batch = await compare();
    });
    changes.push(hold);
    backend.assumeApplied(batch);
  }
  return { first, change: median(changes) };
}

async function held(mode: Mode, makeBackend: () => Backend<unknown>): Promise<Figure[]> {
  // The first run of the process is compiled while it runs, as in a daemon.
  const holds: Holds[] = [];
  for (let turn = 0; turn < repeats; turn++) holds.push(await holdsOf(makeBackend()));
  const size = `${large.ports} ports x ${large.endpoints} endpoints`;
  return (['first', 'change'] as const).map((what) => {
    const times = holds.map((hold) => hold[what]);
    return {
      what: `one Service with ${size}, longest hold of the event loop, ${what === 'first' ? 'from nothing' : 'one endpoint changes'}, ${mode}`,
      toReach: `< ${holdMs} ms`,
      here: `${printMs(median(times))} (${printMs(Math.min(...times))} to ${printMs(Math.max(...times))})`,
      beside: '',
      ok: median(times) < holdMs,
      raw: times,
    };
  });
}

export async function measureOneService(backends: Backends): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const mode of modes) figures.push(...(await held(mode, backends[mode])), ...doubled(mode, backends[mode]));
  return figures;
}
