import fc from 'fast-check';
import { IpvsBackend, type IpvsOptions } from '../../../src/backends/ipvs/backend';
import type { Scheduler } from '../../../src/model/scheduler';
import type { Plan, ServicePlan, ServicePortPlan } from '../../../src/planner/plan';
import { applyPlanChanges } from '../../../src/planner/plan-changes';
import { planCluster } from '../../../src/planner/plan-cluster';
import { ClusterStore } from '../../../src/model/cluster-store';
import { historyArb } from '../../support/cluster-arbitraries';
import { FakeIpvs } from '../../support/fake-ipvs';
import { clusterIP, endpoint, plan, service, servicePort, planDifference } from '../../support/plans';
import { ipvsSettings, makeSettings } from '../../support/settings';

const nodeAddresses = { hostAddresses: ['192.168.88.10'] };

function makeBackend(kernel: FakeIpvs, over: Partial<IpvsOptions> = {}): IpvsBackend {
  const options = { settings: ipvsSettings, excludeCIDRs: [], drainLimitMs: 60_000, now: () => 0, ...over };
  return new IpvsBackend('IPv4', options, kernel);
}

/** Reads, renders, writes, as a process that starts. */
async function start(kernel: FakeIpvs, wanted: Plan, over: Partial<IpvsOptions> = {}): Promise<IpvsBackend> {
  const backend = makeBackend(kernel, over);
  await backend.read();
  backend.render(wanted);
  await backend.apply(backend.diff() ?? []);
  return backend;
}

const web = (pods: readonly string[], over: Partial<ServicePortPlan> = {}): ServicePlan =>
  service([
    servicePort('web', {
      frontends: [clusterIP('10.96.0.10')],
      clusterEndpoints: pods.map((address) => endpoint(address)),
      ...over,
    }),
  ]);

/** The Service becomes another, in a round of its own. */
async function change(backend: IpvsBackend, kernel: FakeIpvs, after: ServicePlan | undefined): Promise<string[]> {
  const key = web([]).key;
  const wanted = plan('IPv4', after === undefined ? [] : [after], nodeAddresses);
  backend.renderChanges(wanted, new Map([[key, after]]));
  kernel.writes.length = 0;
  await backend.apply(backend.diff() ?? []);
  return [...kernel.writes];
}

const vip = 'TCP 10.96.0.10:80';

describe('one change writes only itself', () => {
  test('an endpoint comes', async () => {
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

  test('a Service goes: its server, its address, its set entries, in this order', async () => {
    const kernel = new FakeIpvs();
    const backend = await start(kernel, plan('IPv4', [web(['10.244.1.2'])], nodeAddresses));
    expect(await change(backend, kernel, undefined)).toEqual([
      `delete-server ${vip}`,
      'unbind 10.96.0.10',
      'del KUBE-CLUSTER-IP 10.96.0.10,tcp:80',
      'del KUBE-IPVS-IPS 10.96.0.10',
    ]);
  });

  test('a Service comes: sets, its server with the endpoint, and its address last', async () => {
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

describe('draining', () => {
  const two = (): ServicePlan => web(['10.244.1.2', '10.244.1.3']);
  const one = (): ServicePlan => web(['10.244.1.3']);
  const going = '10.244.1.2:8080';

  test('a destination is there while it has connections, and goes with the last', async () => {
    const kernel = new FakeIpvs();
    const backend = await start(kernel, plan('IPv4', [two()], nodeAddresses));
    kernel.connections.set(`${vip} ${going}`, 1);
    await change(backend, kernel, one());
    await backend.tend();
    expect(kernel.servers.get(vip)?.weights.get(going)).toBe(0);
    kernel.connections.clear();
    await backend.tend();
    expect(kernel.servers.get(vip)?.weights.has(going)).toBe(false);
    expect(backend.draining.size).toBe(0);
  });

  test('or after the limit', async () => {
    let nowMs = 0;
    const kernel = new FakeIpvs();
    const wanted = plan('IPv4', [two()], nodeAddresses);
    const backend = await start(kernel, wanted, { now: () => nowMs, drainLimitMs: 1000 });
    kernel.connections.set(`${vip} ${going}`, 1);
    await change(backend, kernel, one());
    nowMs = 999;
    await backend.tend();
    expect(kernel.servers.get(vip)?.weights.has(going)).toBe(true);
    nowMs = 1000;
    await backend.tend();
    expect(kernel.servers.get(vip)?.weights.has(going)).toBe(false);
  });

  test('one that is wanted again gets its weight back', async () => {
    const kernel = new FakeIpvs();
    const backend = await start(kernel, plan('IPv4', [two()], nodeAddresses));
    kernel.connections.set(`${vip} ${going}`, 1);
    await change(backend, kernel, one());
    await change(backend, kernel, two());
    expect(kernel.servers.get(vip)?.weights.get(going)).toBe(1);
    kernel.connections.clear();
    await backend.tend();
    expect(kernel.servers.get(vip)?.weights.get(going)).toBe(1);
  });

  test('a fresh process goes on with it, and writes nothing', async () => {
    const kernel = new FakeIpvs();
    const before = await start(kernel, plan('IPv4', [two()], nodeAddresses));
    kernel.connections.set(`${vip} ${going}`, 1);
    await change(before, kernel, one());
    kernel.writes.length = 0;
    const after = await start(kernel, plan('IPv4', [one()], nodeAddresses));
    expect(kernel.writes).toEqual([]);
    kernel.connections.clear();
    await after.tend();
    expect(kernel.writes).toEqual([`delete-destination ${vip} ${going}`]);
  });

  test('of UDP nothing drains: clients would stay with a pod that is gone', async () => {
    const kernel = new FakeIpvs();
    const udp = { protocol: 'UDP' } as const;
    const backend = await start(kernel, plan('IPv4', [web(['10.244.1.2', '10.244.1.3'], udp)], nodeAddresses));
    const writes = await change(backend, kernel, web(['10.244.1.3'], udp));
    expect(writes).toEqual(['delete-destination UDP 10.96.0.10:80 10.244.1.2:8080']);
  });

  test('a weight of 0 that somebody asked for does not drain', async () => {
    const kernel = new FakeIpvs();
    const resting = service([
      servicePort('web', {
        frontends: [clusterIP('10.96.0.10')],
        clusterEndpoints: [{ ...endpoint('10.244.1.2'), weight: 0 }, endpoint('10.244.1.3')],
      }),
    ]);
    await start(kernel, plan('IPv4', [resting], nodeAddresses));
    const backend = await start(kernel, plan('IPv4', [resting], nodeAddresses));
    await backend.read();
    await backend.tend();
    expect(kernel.servers.get(vip)?.weights.get('10.244.1.2:8080')).toBe(0);
  });
});

test('a scheduler that the kernel has not is warned of once, and the one of all serves', () => {
  const kernel = new FakeIpvs();
  const backend = makeBackend(kernel, { settings: { ...ipvsSettings, hasScheduler: (name) => name !== 'mh' } });
  backend.render(plan('IPv4', [web(['10.244.1.2'], { scheduler: 'mh,mh-port' as Scheduler })], nodeAddresses));
  expect(backend.takeWarnings()).toEqual([
    {
      object: 'Service default/web',
      kind: 'no-scheduler',
      message: 'the kernel has no IPVS scheduler mh,mh-port: rr serves',
    },
  ]);
  expect(backend.takeWarnings()).toEqual([]);
  expect(backend.print(backend.diff() ?? [])).toContain('-A -t 10.96.0.10:80 -s rr\n');
});

describe('what is not ours', () => {
  const foreign = (kernel: FakeIpvs, server: string): void =>
    void kernel.servers.set(server, { options: '-s rr', weights: new Map([['10.1.1.1:80', 1]]) });

  test('stays; what is on kube-ipvs0, or is a node port of ours, goes', async () => {
    const kernel = new FakeIpvs();
    await start(kernel, plan('IPv4', [web(['10.244.1.2'])], nodeAddresses));
    const ours = ['TCP 10.96.0.10:81', 'TCP 10.96.0.99:80', 'TCP 192.168.88.10:30080'];
    const others = ['TCP 192.0.2.1:80', 'TCP 192.168.88.10:443', 'FWM 7', 'UDP 192.168.88.10:30080'];
    for (const server of [...ours, ...others]) foreign(kernel, server);
    kernel.addresses.add('10.96.0.99');
    await kernel.ipset.run('ipset', ['-exist', 'restore'], { input: 'add KUBE-NODE-PORT-TCP 30080\n' });
    const backend = makeBackend(kernel);
    backend.render(plan('IPv4', [web(['10.244.1.2'])], nodeAddresses));
    await backend.read();
    await backend.apply(backend.diff() ?? []);
    expect([...kernel.servers.keys()].sort()).toEqual([vip, ...others].sort());
    expect([...kernel.addresses]).toEqual(['10.96.0.10']);
  });

  test('one whose write was cut short before its address came goes when nobody wants it any more', async () => {
    const kernel = new FakeIpvs();
    const backend = makeBackend(kernel);
    await backend.read();
    backend.render(plan('IPv4', [web(['10.244.1.2'])], nodeAddresses));
    kernel.afterWrite = () => {
      if (kernel.servers.size > 0) throw new Error('no more');
    };
    await expect(backend.apply(backend.diff() ?? [])).rejects.toThrow('no more');
    expect([...kernel.addresses]).toEqual([]);
    kernel.afterWrite = undefined;
    await start(kernel, plan('IPv4', [], nodeAddresses));
    expect([...kernel.servers.keys()]).toEqual([]);
  });

  test('nor does anything go on addresses that are excluded', async () => {
    const kernel = new FakeIpvs();
    foreign(kernel, 'TCP 10.1.0.1:80');
    kernel.addresses.add('10.1.0.1');
    await start(kernel, plan('IPv4', [web(['10.244.1.2'])], nodeAddresses), { excludeCIDRs: ['10.1.0.0/16'] });
    expect(kernel.servers.has('TCP 10.1.0.1:80')).toBe(true);
  });
});

test('a look tells whether somebody else wrote, and what is written meanwhile counts as written', async () => {
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

test('a stop ends between two writes, and a dry run writes none', async () => {
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

/** What the last of a history's changes lead to from any state in between, whatever fails on the way. */
test('however it came about, the kernel holds what a fresh process would write, and then nothing is left to write', async () => {
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
