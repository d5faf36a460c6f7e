import { found } from '../../src/model/answer';
import type { ProxyConfiguration } from '../../src/config/configuration';
import type { Machine } from '../../src/machine/machine';
import { DriftWatch } from '../../src/machine/drift';
import { settle } from '../reconciler/fake-clock';
import { makeEndpoint, makeSlice } from '../support/cluster-objects';
import { makeConfiguration } from '../support/settings';
import { fakeNode, nodeCIDR, stopNodes, web } from './fake-node';

afterEach(stopNodes);

describe('the first write', () => {
  test('waits for the source to be in sync', async () => {
    const node = fakeNode();
    await node.agent.start(() => Promise.resolve(node.machine()));
    node.set(...web);
    await node.clock.advance(60_000);
    expect(node.writes).toBe(0);
    node.synced();
    await node.clock.advance(0);
    expect(node.writes).toBe(2);
    expect(node.tables.IPv4.print()).toContain('10.0.0.1:8080');
  });

  test('and for the machine, where the source was faster', async () => {
    const node = fakeNode();
    let open: ((machine: Machine) => void) | undefined;
    const started = node.agent.start(() => new Promise((resolve) => (open = resolve)));
    node.set(...web);
    node.synced();
    node.set(makeSlice([makeEndpoint('10.0.0.2')]));
    await node.clock.advance(5000);
    expect(node.writes).toBe(0);
    // The interfaces are read before that.
    while (open === undefined) await settle();
    open(node.machine());
    await started;
    await node.clock.advance(0);
    expect(node.tables.IPv4.print()).toContain('10.0.0.2:8080');
    expect(node.tables.IPv4.inputs).toHaveLength(1);
  });

  test('a machine that cannot be opened is told', async () => {
    const node = fakeNode();
    await expect(node.agent.start(() => Promise.reject(new Error('no iptables')))).rejects.toThrow('no iptables');
  });
});

describe('drift', () => {
  test('a foreign flush is seen and put right within 2 s, logged and counted', async () => {
    const node = await fakeNode().running(...web);
    for (const rules of node.tables.IPv4.tables.get('nat')?.values() ?? []) rules.length = 0;
    node.generation++;
    await node.clock.advance(2000);
    expect(node.tables.IPv4.print()).toContain('10.0.0.1:8080');
    expect(node.said('somebody else changed our rules')).toHaveLength(1);
    const labels = 'reason="foreign write",ip_family="IPv4"';
    expect(await node.metric(`vipwire_drift_repairs_total{table="nat",${labels}}`)).toBe(1);
    expect(await node.metric(`vipwire_drift_repairs_total{table="filter",${labels}}`)).toBeUndefined();
  });

  test('a chain that somebody put among ours goes, and is counted', async () => {
    const node = await fakeNode().running(...web);
    node.tables.IPv4.tables.get('nat')?.set('KUBE-SVC-FOREIGN', []);
    node.generation++;
    await node.clock.advance(2000);
    expect(node.tables.IPv4.print()).not.toContain('KUBE-SVC-FOREIGN');
    const series = 'vipwire_drift_repairs_total{table="nat",reason="foreign write",ip_family="IPv4"}';
    expect(await node.metric(series)).toBe(1);
  });

  test('what others write elsewhere leads to a look and no more', async () => {
    const node = await fakeNode().running(...web);
    const { writes } = node;
    node.generation++;
    await node.clock.advance(5000);
    expect(node.writes).toBe(writes);
    expect(node.said('somebody else changed our rules')).toEqual([]);
  });

  test('a machine whose generation cannot be read is served all the same', async () => {
    const node = fakeNode();
    const { backends } = node.machine();
    const drift = new DriftWatch({
      clock: node.clock,
      readGeneration: () => Promise.reject(new Error('no prebuilt addon')),
      lookForFlush: () => Promise.resolve(found(true)),
      fullCheckMs: 30_000,
      readShare: 0.1,
    });
    await node.agent.start(() => Promise.resolve({ backends, drift }));
    node.set(...web);
    node.synced();
    await node.clock.advance(0);
    expect(node.tables.IPv4.print()).toContain('10.0.0.1:8080');
  });
});

describe('warnings', () => {
  test('of an object are logged once and counted each time', async () => {
    const node = await fakeNode().running();
    const warning = { object: 'Service default/web', kind: 'bad-port', message: 'port 0 is left out' };
    node.source.sink?.warn(warning);
    node.source.sink?.warn(warning);
    expect(node.said('port 0 is left out')).toHaveLength(1);
    expect(await node.metric('vipwire_warnings_total{kind="bad-port"}')).toBe(2);
  });
});

describe('stop', () => {
  test('ends the source first, then the loops, and nothing is written after it', async () => {
    const node = await fakeNode().running(...web);
    await node.agent.stop();
    expect(node.source.stopped).toBe(true);
    const { writes } = node;
    node.set(makeSlice([makeEndpoint('10.0.0.2')]));
    node.generation++;
    await node.clock.advance(60_000);
    expect(node.writes).toBe(writes);
    expect(node.clock.waitsMs).toEqual([]);
  });
});

test('a failed write is retried, and health tells of a wait that is too long', async () => {
  const node = await fakeNode().running(...web);
  node.tables.IPv4.failures = 1000;
  node.set(makeSlice([makeEndpoint('10.0.0.2')]));
  await node.clock.advance(30_000);
  expect(node.health.health(node.clock.now()).healthy).toBe(true);
  await node.clock.advance(40_000);
  expect(node.health.health(node.clock.now()).healthy).toBe(false);
  node.tables.IPv4.failures = 0;
  await node.clock.advance(60_000);
  expect(node.health.health(node.clock.now()).healthy).toBe(true);
  expect(node.tables.IPv4.print()).toContain('10.0.0.2:8080');
  expect(node.said('cannot bring the rules into force').length).toBeGreaterThan(3);
});

describe('another configuration while it runs', () => {
  test('what the planner is told is in force with the next round', async () => {
    const node = await fakeNode().running(...web);
    expect(node.tables.IPv4.print()).not.toContain('! -s 10.244.0.0/16');
    const inForce = node.agent.configure(makeConfiguration({ clusterCIDRs: ['10.244.0.0/16'] }));
    await node.clock.advance(2000);
    expect(await inForce).toBe(true);
    expect(node.tables.IPv4.print()).toContain('! -s 10.244.0.0/16');
  });

  test('a new pause between two syncs counts', async () => {
    const node = await fakeNode().running(...web);
    expect(await node.agent.configure(makeConfiguration({ minSyncPeriodMs: 20_000 }))).toBe(true);
    await node.clock.advance(20_000);
    node.set(makeSlice([makeEndpoint('10.0.0.2')]));
    await node.clock.advance(1000);
    expect(node.tables.IPv4.print()).toContain('10.0.0.2:');
    node.set(makeSlice([makeEndpoint('10.0.0.3')]));
    await node.clock.advance(15_000);
    expect(node.tables.IPv4.print()).not.toContain('10.0.0.3:');
    await node.clock.advance(5000);
    expect(node.tables.IPv4.print()).toContain('10.0.0.3:');
  });

  test('a new machine takes over what is in force, and follows what changed meanwhile; nothing is listed again', async () => {
    const node = await fakeNode().running(...web);
    const before = node.tables.IPv4.print();
    let opened: (() => void) | undefined;
    const opening = new Promise<void>((resolve) => (opened = resolve));
    const replaced = node.agent.replaceMachine(makeConfiguration(), () => opening.then(() => node.machine()));
    node.set(makeSlice([makeEndpoint('10.0.0.9')]));
    await node.clock.advance(5000);
    expect(node.tables.IPv4.print()).toBe(before);
    expect(node.agent.waitingFor()).toEqual([]);
    opened?.();
    await node.clock.advance(2000);
    expect(await replaced).toBe(true);
    expect(node.tables.IPv4.print()).toContain('10.0.0.9:');
    expect(node.source.stopped).toBe(false);
    expect(
      await node.metric(
        'kubeproxy_sync_proxy_rules_no_local_endpoints_total{traffic_policy="internal",ip_family="IPv4"}',
      ),
    ).toBe(0);
    const synced = node.said('"msg":"synced"').filter((line) => line.includes('"IPv4"'));
    expect(synced.at(-1)).toContain('"endpoints":1');
  });

  test('rules that cannot be written are told of, and tried again', async () => {
    const node = await fakeNode().running(...web);
    node.tables.IPv4.failures = 1;
    const inForce = node.agent.configure(makeConfiguration({ clusterCIDRs: ['10.244.0.0/16'] }));
    await node.clock.advance(2000);
    expect(await inForce).toBe(false);
    await node.clock.advance(2000);
    expect(node.tables.IPv4.print()).toContain('! -s 10.244.0.0/16');
  });

  test('the old machine is closed before the new one is opened, and what comes afterwards comes once', async () => {
    const node = fakeNode();
    const steps: string[] = [];
    const machine = (name: string): Machine => ({
      ...node.machine(),
      afterwards: (signal) => {
        steps.push(`${name} in force`);
        return new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
      },
      close: () => steps.push(`${name} closed`),
    });
    await node.agent.start(() => Promise.resolve(machine('first')));
    node.set(...web);
    node.synced();
    await node.clock.advance(5000);
    const replaced = node.agent.replaceMachine(makeConfiguration(), () => {
      steps.push('second opened');
      return Promise.resolve(machine('second'));
    });
    await node.clock.advance(5000);
    await replaced;
    expect(steps).toEqual(['first in force', 'first closed', 'second opened', 'second in force']);
  });

  test.each<[string, Partial<ProxyConfiguration>, RegExp | undefined]>([
    ['pods that the Node does not tell', nodeCIDR, /^detectLocalMode: Node node has no podCIDRs$/],
    [
      'addresses that the Node does not have',
      { nodePortAddresses: ['primary'] },
      /^nodePortAddresses: Node node has no addr/,
    ],
    ['anything else', { masqueradeAll: true }, undefined],
  ])('%s', async (_, part, refusal) => {
    const node = await fakeNode().running(...web);
    const found = node.agent.refusal(makeConfiguration(part));
    if (refusal === undefined) expect(found).toBeUndefined();
    else expect(found).toMatch(refusal);
  });
});
