import type { ServicePlan } from '../../../../src/planner/plan';
import { FakeIpvs } from '../../../support/fake-ipvs';
import { clusterIP, endpoint, plan, service, servicePort } from '../../../support/plans';
import { change, nodeAddresses, start, vip, web } from '../in-memory';

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

  test('UDP does not drain: clients would stay with a pod that is gone', async () => {
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
