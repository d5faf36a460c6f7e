/** What clients reach at each moment between two states: after every single write, on a kernel in memory. */
import fc from 'fast-check';
import { IpvsBackend } from '../../../src/backends/ipvs/backend';
import { parseMark } from '../../../src/backends/ipvs/sets/names';
import { parseScheduler } from '../../../src/model/scheduler';
import { ClusterStore } from '../../../src/model/cluster-store';
import { applyPlanChanges } from '../../../src/planner/plan-changes';
import type { ServicePlan } from '../../../src/planner/plan';
import { planCluster } from '../../../src/planner/plan-cluster';
import { historyArb } from '../../support/cluster-arbitraries';
import { collidingNames } from '../../support/colliding-marks';
import { FakeIpvs } from '../../support/fake-ipvs';
import { clusterIP, endpoint, plan, service, servicePort, planDifference } from '../../support/plans';
import { ipvsSettings, makeSettings } from '../../support/settings';

const nodeAddresses = ['192.168.88.10', '10.0.0.9'];

function makeBackend(kernel: FakeIpvs): IpvsBackend {
  const scheduler = parseScheduler('rr');
  if (scheduler === undefined) throw new Error('rr is one');
  const settings = { ...ipvsSettings, scheduler };
  return new IpvsBackend('IPv4', { settings, excludeCIDRs: [], drainLimitMs: 0, now: () => 0 }, kernel);
}

/** The real servers with a weight above 0, which a new connection may reach. Without any it is refused. */
interface Reached {
  readonly fromOutside: ReadonlySet<string>;
  readonly fromHere: ReadonlySet<string>;
}

const nobody: Reached = { fromOutside: new Set(), fromHere: new Set() };

/**
 * Looks up `TCP 10.96.0.10:80` as the kernel does: by mark if a set gives one and there is such a server, else by address and port.
 * Packets with a mark are not dropped.
 */
function whatIsReached(kernel: FakeIpvs): ReadonlyMap<string, Reached> {
  const weighted = (server: string): Set<string> | undefined => {
    const weights = kernel.servers.get(server)?.weights;
    return weights && new Set([...weights].flatMap(([destination, weight]) => (weight > 0 ? destination : [])));
  };
  const marks = kernel.ipset.sets.get('KUBE-IPVS-LOCAL')?.elements;
  const dropping = kernel.ipset.sets.get('KUBE-IPVS-DROP')?.elements;
  const reached = new Map<string, Reached>();
  for (const server of kernel.servers.keys()) {
    const [, protocol = '', address = '', port] = /^(\w+) (.+):(\d+)$/.exec(server) ?? [];
    if (!kernel.addresses.has(address) && !nodeAddresses.includes(address)) continue;
    const element = `${address},${protocol.toLowerCase()}:${port}`;
    const fromOutside = (dropping?.has(element) === true ? undefined : weighted(server)) ?? new Set();
    const mark = parseMark(marks?.get(element) ?? '');
    const fromHere = mark === undefined ? fromOutside : (weighted(`FWM ${mark}`) ?? weighted(server) ?? new Set());
    reached.set(server, { fromOutside, fromHere });
  }
  return reached;
}

/** What is wrong with a moment, in words. */
function* findFaults(vip: string, before: Reached, now: Reached, after: Reached): Generator<string> {
  for (const client of ['fromOutside', 'fromHere'] as const) {
    if (before[client].size > 0 && after[client].size > 0 && now[client].size === 0) yield `${vip}, ${client}: nobody`;
    for (const destination of now[client])
      if (
        ![before, after].some(({ fromOutside, fromHere }) => fromOutside.has(destination) || fromHere.has(destination))
      )
        yield `${vip}, ${client}: ${destination}, which is not its own`;
  }
}

/** Does the work, and checks after each of its writes. */
async function expectSafe(kernel: FakeIpvs, work: () => Promise<void>): Promise<void> {
  const before = whatIsReached(kernel);
  const moments: { readonly write: string; readonly reached: ReturnType<typeof whatIsReached> }[] = [];
  kernel.afterWrite = () => moments.push({ write: kernel.writes.at(-1) ?? '', reached: whatIsReached(kernel) });
  await work();
  kernel.afterWrite = undefined;
  const after = whatIsReached(kernel);
  const faults = moments.flatMap(({ write, reached }) =>
    [...new Set([...before.keys(), ...reached.keys(), ...after.keys()])].flatMap((vip) => {
      const [old = nobody, now = nobody, next = nobody] = [before, reached, after].map((at) => at.get(vip));
      return [...findFaults(vip, old, now, next)].map((fault) => `after ${write}: ${fault}`);
    }),
  );
  expect(faults).toEqual([]);
}

test('whatever changes, a VIP that serves before and after serves all the time, and only with its own endpoints', async () => {
  const settings = { ...makeSettings(), hostAddresses: nodeAddresses };
  await fc.assert(
    fc.asyncProperty(historyArb, async (history) => {
      const kernel = new FakeIpvs();
      const store = new ClusterStore(0);
      const backend = makeBackend(kernel);
      await backend.read();
      const wanted = planCluster(store, 'IPv4', settings);
      backend.render(wanted);
      for (const changes of history) {
        store.apply(changes);
        const difference = planDifference(wanted, planCluster(store, 'IPv4', settings));
        applyPlanChanges(wanted, difference);
        backend.renderChanges(wanted, difference);
        await expectSafe(kernel, () => backend.apply(backend.diff() ?? []));
      }
      // A process that does not know yet what is there.
      const successor = makeBackend(kernel);
      await successor.read();
      store.apply(history[0] ?? []);
      successor.render(planCluster(store, 'IPv4', settings));
      await expectSafe(kernel, () => successor.apply(successor.diff() ?? []));
    }),
    { numRuns: 100 },
  );
}, 60_000);

test('when a mark moves from one Service to another, no client reaches endpoints of the other Service or none at all', async () => {
  const [first, second, third] = collidingNames();
  const local = (name: string, n: number): ServicePlan =>
    service([
      servicePort(name, {
        frontends: [{ ...clusterIP(`203.0.113.${n}`), kind: 'LoadBalancer', localSourcesToCluster: true }],
        clusterEndpoints: [endpoint(`10.244.${n}.2`), endpoint(`10.244.${n}.3`)],
      }),
    ]);
  const kernel = new FakeIpvs();
  const backend = makeBackend(kernel);
  await backend.read();
  const all = [local(first, 1), local(second, 2), local(third, 3)];
  const turns = [[1, 2], [0, 1, 2], [2], [0, 2], [1], [0, 1, 2]];
  const wanted = plan('IPv4', [], { hostAddresses: nodeAddresses });
  backend.render(wanted);
  for (const turn of turns) {
    const changes = new Map(all.map((one, n) => [one.key, turn.includes(n) ? one : undefined]));
    applyPlanChanges(wanted, changes);
    backend.renderChanges(wanted, changes);
    await expectSafe(kernel, () => backend.apply(backend.diff() ?? []));
  }
});
