/** The comparison is done in pieces, and reads happen in between. */
import PQueue from 'p-queue';
import { IpvsBackend } from '../../../src/backends/ipvs/backend';
import type { IpvsBatch } from '../../../src/backends/ipvs/diff';
import type { ClusterChange } from '../../../src/model/cluster';
import { ClusterStore } from '../../../src/model/cluster-store';
import { finish } from '../../../src/model/pieces';
import type { Plan } from '../../../src/planner/plan';
import { planCluster } from '../../../src/planner/plan-cluster';
import { Reconciler } from '../../../src/reconciler/reconciler';
import type { SyncFailure } from '../../../src/reconciler/reconciler-options';
import { FakeClock } from '../../reconciler/fake-clock';
import { makeEndpoint, makeService, makeSlice } from '../../support/cluster-objects';
import { FakeIpvs } from '../../support/fake-ipvs';
import { ipvsSettings, makeSettings } from '../../support/settings';

const ports = 12;

function makeBackend(kernel: FakeIpvs): IpvsBackend {
  return new IpvsBackend('IPv4', { settings: ipvsSettings, excludeCIDRs: [], drainLimitMs: 0, now: () => 0 }, kernel);
}

const nodeSettings = makeSettings({ hostAddresses: ['192.168.88.10'] });
const servicePorts = Array.from({ length: ports }, (_, i) => ({
  name: `p${i}`,
  protocol: 'TCP' as const,
  port: 80 + i,
  nodePort: 0,
}));
const before = ['10.244.1.2', '10.244.1.3', '10.244.1.4'];
const after = ['10.244.1.2', '10.244.1.5', '10.244.1.4'];

function changesTo(pods: readonly string[]): ClusterChange[] {
  const slicePorts = servicePorts.map(({ name, protocol }) => ({ name, protocol, port: 8080 }));
  return [
    { op: 'set', object: makeService({ ports: servicePorts }) },
    {
      op: 'set',
      object: makeSlice(
        pods.map((pod) => makeEndpoint(pod)),
        { ports: slicePorts },
      ),
    },
  ];
}

function planOf(pods: readonly string[]): Plan {
  const store = new ClusterStore(0);
  store.apply(changesTo(pods));
  return planCluster(store, 'IPv4', nodeSettings);
}

test('the comparison of the first write may pause between any two servers, and gives the same as one without a pause', () => {
  const backend = makeBackend(new FakeIpvs());
  backend.render(planOf(before));
  let pieces = 0;
  for (const work = backend.diffPieces(); ; pieces++) {
    const { done, value } = work.next();
    if (done !== true) continue;
    expect(value).toEqual(backend.diff());
    break;
  }
  expect(pieces).toBeGreaterThanOrEqual(ports);
});

test('the size of a batch is the same in pieces', () => {
  const backend = makeBackend(new FakeIpvs());
  backend.render(planOf(before));
  const batch = backend.diff() ?? [];
  expect(finish(backend.sizePieces(batch))).toEqual(backend.size(batch));
  expect(backend.size(batch).others).toMatchObject({ servers: ports, destinations: 3 * ports });
});

const damages: readonly (readonly [what: string, damage: (kernel: FakeIpvs) => void])[] = [
  ['nothing', () => undefined],
  ['the first server goes', (kernel) => kernel.servers.delete('TCP 10.96.0.10:80')],
  ['the last server goes', (kernel) => kernel.servers.delete(`TCP 10.96.0.10:${80 + ports - 1}`)],
  [
    'a destination that stays goes',
    (kernel) => kernel.servers.forEach(({ weights }) => weights.delete('10.244.1.4:8080')),
  ],
  [
    'the one that comes is there',
    (kernel) => kernel.servers.forEach(({ weights }) => weights.set('10.244.1.5:8080', 1)),
  ],
];

describe.each(damages)('a look in the midst of a round finds: %s', (_, damage) => {
  test.each([0, 1, ports, 2 * ports, 3 * ports, 3 * ports + 4, 4 * ports])(
    'after %i pieces: the kernel ends as a fresh start has it',
    async (at) => {
      const kernel = new FakeIpvs();
      const looks: Promise<unknown>[] = [];
      const clock = new FakeClock();
      const failures: SyncFailure[] = [];
      const store = new ClusterStore(0);
      let [pieces, isAwaited] = [0, false];
      const reconciler: Reconciler<IpvsBatch> = new Reconciler({
        family: 'IPv4',
        backend: makeBackend(kernel),
        state: store,
        settings: () => nodeSettings,
        queue: new PQueue({ concurrency: 1 }),
        clock,
        schedule: () => ({ minPeriodMs: 1000, maxRetryMs: 30_000 }),
        pauses: () => () => {
          if (!isAwaited || pieces++ !== at) return undefined;
          damage(kernel);
          const look = reconciler.checkKernel();
          looks.push(look);
          return look.then(() => undefined);
        },
        onSynced: () => undefined,
        onFailed: (failure) => failures.push(failure),
        onQueued: () => undefined,
      });
      const change = (pods: readonly string[]): void => {
        store.apply(changesTo(pods));
        reconciler.servicesChanged(store.takeChanged().services, new Map());
      };
      change(before);
      reconciler.start();
      await clock.advance(1000);
      expect(kernel.servers.size).toBe(ports);
      isAwaited = true;
      change(after);
      await clock.advance(100_000);
      await Promise.all(looks);
      await clock.advance(100_000);
      await reconciler.tend();
      expect([looks.length, failures]).toEqual([1, []]);
      const fresh = new FakeIpvs();
      const other = makeBackend(fresh);
      await other.read();
      other.render(planCluster(store, 'IPv4', nodeSettings));
      await other.apply(other.diff() ?? []);
      expect(kernel.print()).toEqual(fresh.print());
    },
  );
});
