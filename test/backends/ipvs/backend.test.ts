import fc from 'fast-check';
import type { Scheduler } from '../../../src/model/scheduler';
import { applyPlanChanges } from '../../../src/planner/plan-changes';
import { planCluster } from '../../../src/planner/plan-cluster';
import { ClusterStore } from '../../../src/model/cluster-store';
import { historyArb } from '../../support/cluster-arbitraries';
import { FakeIpvs } from '../../support/fake-ipvs';
import { plan, planDifference } from '../../support/plans';
import { ipvsSettings, makeSettings } from '../../support/settings';
import { change, makeBackend, nodeAddresses, start, vip, web } from './in-memory';

describe('one change writes only itself', () => {
  test('an endpoint is added', async () => {
    const kernel = new FakeIpvs();
    const backend = await start(kernel, plan('IPv4', [web(['10.244.1.2'])], nodeAddresses));
    expect(await change(backend, kernel, web(['10.244.1.2', '10.244.1.3']))).toEqual([
      `add-destination ${vip} 10.244.1.3:8080 1`,
    ]);
  });

  test('an endpoint is replaced: the new one first, and the old one only loses its weight', async () => {
    const kernel = new FakeIpvs();
    const backend = await start(kernel, plan('IPv4', [web(['10.244.1.2'])], nodeAddresses));
    expect(await change(backend, kernel, web(['10.244.1.3']))).toEqual([
      `add-destination ${vip} 10.244.1.3:8080 1`,
      `edit-destination ${vip} 10.244.1.2:8080 0`,
    ]);
    expect(backend.diff()).toBeUndefined();
  });

  test('affinity changes the server in place', async () => {
    const kernel = new FakeIpvs();
    const backend = await start(kernel, plan('IPv4', [web(['10.244.1.2'])], nodeAddresses));
    expect(await change(backend, kernel, web(['10.244.1.2'], { affinitySeconds: 600 }))).toEqual([
      `edit-server ${vip} -s rr -p 600`,
    ]);
  });

  test('a Service is removed: its server, its address, its set entries, in this order', async () => {
    const kernel = new FakeIpvs();
    const backend = await start(kernel, plan('IPv4', [web(['10.244.1.2'])], nodeAddresses));
    expect(await change(backend, kernel, undefined)).toEqual([
      `delete-server ${vip}`,
      'unbind 10.96.0.10',
      'del KUBE-CLUSTER-IP 10.96.0.10,tcp:80',
      'del KUBE-IPVS-IPS 10.96.0.10',
    ]);
  });

  test('a Service is added: sets, its server with the endpoint, and its address last', async () => {
    const kernel = new FakeIpvs();
    const backend = await start(kernel, plan('IPv4', [], nodeAddresses));
    expect(await change(backend, kernel, web(['10.244.1.2']))).toEqual([
      'add KUBE-CLUSTER-IP 10.96.0.10,tcp:80',
      'add KUBE-IPVS-IPS 10.96.0.10',
      `add-server ${vip} -s rr`,
      `add-destination ${vip} 10.244.1.2:8080 1`,
      'bind 10.96.0.10',
    ]);
  });
});

test('a scheduler that the kernel does not have gives one warning, and the default one is used', () => {
  const kernel = new FakeIpvs();
  const backend = makeBackend(kernel, { settings: { ...ipvsSettings, hasScheduler: (name) => name !== 'mh' } });
  backend.render(plan('IPv4', [web(['10.244.1.2'], { scheduler: 'mh,mh-port' as Scheduler })], nodeAddresses));
  expect(backend.takeWarnings()).toEqual([
    {
      object: 'Service default/web',
      kind: 'no-scheduler',
      message: 'the kernel has no IPVS scheduler mh,mh-port: rr is used instead',
    },
  ]);
  expect(backend.takeWarnings()).toEqual([]);
  expect(backend.print(backend.diff() ?? [])).toContain('-A -t 10.96.0.10:80 -s rr\n');
});

test('a check shows whether somebody else wrote, and what is written meanwhile counts as written', async () => {
  const kernel = new FakeIpvs();
  const backend = await start(kernel, plan('IPv4', [web(['10.244.1.2'])], nodeAddresses));
  expect(await backend.read()).toBe(false);
  const look = backend.read();
  await change(backend, kernel, web(['10.244.1.3'], { affinitySeconds: 7 }));
  expect(await look).toBe(false);
  expect(backend.diff()).toBeUndefined();
  kernel.servers.delete(vip);
  expect(await backend.read()).toBe(true);
  await backend.apply(backend.diff() ?? []);
  kernel.addresses.clear();
  expect(await backend.read()).toBe(true);
  await backend.apply(backend.diff() ?? []);
  expect(await backend.read()).toBe(false);
});

test('a stop takes effect between two writes, and a dry run writes nothing', async () => {
  const kernel = new FakeIpvs();
  const backend = makeBackend(kernel);
  await backend.read();
  backend.render(plan('IPv4', [web(['10.244.1.2'])], nodeAddresses));
  const batch = backend.diff() ?? [];
  await backend.apply(batch, AbortSignal.abort());
  backend.assumeApplied(batch);
  expect(kernel.writes).toEqual([]);
  expect(backend.diff()).toBeUndefined();
});

/** The state that a history ends in, from any state in between and whatever fails on the way. */
test('whatever happened before, the kernel has what a new process would write, and nothing is left to write', async () => {
  const withNode = { ...makeSettings(), hostAddresses: ['192.168.88.10', '10.0.0.9'] };
  await fc.assert(
    fc.asyncProperty(historyArb, fc.array(fc.integer({ min: 0, max: 9 })), async (history, failures) => {
      const kernel = new FakeIpvs();
      const store = new ClusterStore(0);
      let backend = makeBackend(kernel, { drainLimitMs: 0 });
      await backend.read();
      let wanted = planCluster(store, 'IPv4', withNode);
      backend.render(wanted);
      for (const [n, changes] of history.entries()) {
        store.apply(changes);
        const difference = planDifference(wanted, planCluster(store, 'IPv4', withNode));
        applyPlanChanges(wanted, difference);
        backend.renderChanges(wanted, difference);
        if (failures[n] === 0) kernel.failures = 1;
        try {
          await backend.apply(backend.diff() ?? []);
        } catch {
          await backend.read();
        }
        if (failures[n] === 1) {
          backend = makeBackend(kernel, { drainLimitMs: 0 });
          await backend.read();
          wanted = planCluster(store, 'IPv4', withNode);
          backend.render(wanted);
        }
      }
      kernel.failures = 0;
      await backend.apply(backend.diff() ?? []);
      await backend.tend();
      const fresh = new FakeIpvs();
      await start(fresh, planCluster(store, 'IPv4', withNode));
      expect(kernel.print()).toBe(fresh.print());
      expect(await backend.read()).toBe(false);
      expect(backend.diff()).toBeUndefined();
      const next = makeBackend(kernel);
      await next.read();
      next.render(planCluster(store, 'IPv4', withNode));
      expect(next.diff()).toBeUndefined();
    }),
    { numRuns: 60 },
  );
}, 60_000);
