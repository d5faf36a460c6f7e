import type { ServicePlan } from '../../src/planner/plan';
import { makeService, makeSlice } from '../support/cluster-objects';
import { service, servicePort } from '../support/plans';
import { key, Told, web } from './told';

const family = 'ip_family="IPv4"';

describe('a round', () => {
  test('is a log line: services, endpoints, rules, bytes, milliseconds', () => {
    const told = new Told();
    told.synced({ reasons: new Set(['start']), before: new Map([[key, undefined]]), after: new Map([[key, web()]]) });
    expect(told.lines).toEqual([
      expect.objectContaining({
        level: 'info',
        msg: 'synced',
        family: 'IPv4',
        services: 1,
        endpoints: 3,
        rules: 4,
        bytes: 512,
        calls: 1,
        ms: 22,
        kernelMs: 20,
        reason: 'start',
      }),
    ]);
  });

  test('that wrote nothing is for those who debug, but for the first', () => {
    const told = new Told();
    told.synced({ written: undefined });
    told.synced({ written: undefined, reasons: new Set(['start']) });
    expect(told.lines.map(({ level, bytes }) => [level, bytes])).toEqual([
      ['debug', 0],
      ['info', 0],
    ]);
  });

  test('is counted by what it did', async () => {
    const told = new Told();
    told.synced({ reasons: new Set(['start']) });
    told.synced({});
    told.synced({ written: undefined });
    const seconds = 'kubeproxy_sync_proxy_rules_duration_seconds';
    expect(await told.metric(`${seconds}_count{${family}}`)).toBe(3);
    expect(await told.metric(`${seconds}_sum{${family}}`)).toBeCloseTo(0.066);
    expect(await told.metric(`kubeproxy_sync_full_proxy_rules_duration_seconds_count{${family}}`)).toBe(1);
    expect(await told.metric(`kubeproxy_sync_partial_proxy_rules_duration_seconds_count{${family}}`)).toBe(2);
    expect(await told.metric(`kubeproxy_sync_proxy_rules_iptables_total{table="nat",${family}}`)).toBe(30);
    expect(await told.metric(`kubeproxy_sync_proxy_rules_iptables_last{table="nat",${family}}`)).toBe(0);
    expect(await told.metric(`kubeproxy_sync_proxy_rules_last_timestamp_seconds{${family}}`)).toBe(
      told.clock.now() / 1000,
    );
  });

  test('tells how long after their triggers changes are in force', async () => {
    const told = new Told();
    const nowMs = told.clock.now();
    told.synced({ triggerTimesMs: [nowMs - 200, nowMs - 700] });
    const seconds = 'kubeproxy_network_programming_duration_seconds';
    expect(await told.metric(`${seconds}_count{${family}}`)).toBe(2);
    expect(await told.metric(`${seconds}_sum{${family}}`)).toBeCloseTo(0.9);
  });
});

test('totals follow what rounds changed, up and down', async () => {
  const told = new Told();
  const internal = `kubeproxy_sync_proxy_rules_no_local_endpoints_total{traffic_policy="internal",${family}}`;
  const external = `kubeproxy_sync_proxy_rules_no_local_endpoints_total{traffic_policy="external",${family}}`;
  const states: (ServicePlan | undefined)[] = [
    web({ endpointCount: 2 }, { internal: true, external: true }),
    web({ endpointCount: 5 }, { internal: false, external: true }),
    undefined,
    web({ endpointCount: 1 }),
  ];
  const expected = [
    [2, 1, 1],
    [5, 0, 1],
    [0, 0, 0],
    [1, 0, 0],
  ];
  let before: ServicePlan | undefined;
  for (const [i, after] of states.entries()) {
    told.synced({ before: new Map([[key, before]]), after: new Map([[key, after]]) });
    before = after;
    expect([told.lines.at(-1)?.['endpoints'], await told.metric(internal), await told.metric(external)]).toEqual(
      expected[i],
    );
  }
});

test('changes pend until a round is done', async () => {
  const told = new Told();
  const pending = (): Promise<(number | undefined)[]> =>
    Promise.all(
      ['service_changes_pending', 'endpoint_changes_pending', 'service_changes_total', 'endpoint_changes_total'].map(
        (name) => told.metric(`kubeproxy_sync_proxy_rules_${name}`),
      ),
    );
  told.telemetry.changed([
    { op: 'set', object: makeService() },
    { op: 'set', object: makeSlice([]) },
    { op: 'delete', kind: 'Service', namespace: 'default', name: 'api' },
    { op: 'delete', kind: 'Node', namespace: '', name: 'node' },
  ]);
  // kube-proxy counts a Service's change once a family.
  expect(await pending()).toEqual([2, 1, 4, 1]);
  told.synced({});
  expect(await pending()).toEqual([0, 0, 4, 1]);
});

test('session affinity is told of once', () => {
  let calls = 0;
  const told = new Told({ onAffinity: () => calls++ });
  const round = (affinitySeconds: number): void =>
    told.synced({
      before: new Map([[key, undefined]]),
      after: new Map([[key, service([servicePort('web', { affinitySeconds })])]]),
    });
  round(0);
  expect(calls).toBe(0);
  round(10_800);
  round(60);
  expect(calls).toBe(1);
});

test('a failure is logged and counted, a full one apart', async () => {
  const told = new Told();
  const failure = { family: 'IPv4', error: new Error('exit 4'), isWrite: true, durationMs: 5, failures: 1 } as const;
  told.telemetry.failed({ ...failure, full: false });
  told.telemetry.failed({ ...failure, full: true, failures: 2 });
  expect(told.lines.map(({ level, reason, failures }) => [level, reason, failures])).toEqual([
    ['error', 'exit 4', 1],
    ['error', 'exit 4', 2],
  ]);
  expect(await told.metric(`vipwire_write_errors_total{backend="iptables",${family}}`)).toBe(2);
  expect(await told.metric(`kubeproxy_sync_proxy_rules_iptables_restore_failures_total{${family}}`)).toBe(2);
  expect(await told.metric(`kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total{${family}}`)).toBe(1);
});

test('an update that waits makes the proxy ill, the round that brings it makes it well', () => {
  const told = new Told();
  told.synced({});
  told.telemetry.queued('IPv4');
  expect(told.health.health(told.clock.now() + 59_000).healthy).toBe(true);
  expect(told.health.health(told.clock.now() + 61_000).healthy).toBe(false);
  told.synced({});
  expect(told.health.health(told.clock.now() + 61_000).healthy).toBe(true);
});

test('flows that were deleted are counted', async () => {
  const told = new Told();
  told.telemetry.flowsDeleted('IPv4', 7, 30);
  expect(await told.metric(`kubeproxy_conntrack_reconciler_deleted_entries_total{${family}}`)).toBe(7);
  expect(await told.metric(`kubeproxy_conntrack_reconciler_sync_duration_seconds_sum{${family}}`)).toBeCloseTo(0.03);
});

const of = { version: '0', node: 'n', mode: 'iptables', healthy: true, nodeEligible: true };
const writing = { waitingFor: () => [], unserved: () => [] };

test('what happens is on the status board', () => {
  const told = new Told();
  const { board } = told;
  const status = () => board.status(of, writing);
  told.telemetry.queued('IPv4');
  expect(board.notReady(writing)).toEqual(['the first IPv4 rules are being written']);
  told.synced({ drifted: true, before: new Map([[key, undefined]]), after: new Map([[key, web()]]) });
  expect(board.notReady(writing)).toEqual([]);
  expect(status()).toMatchObject({
    families: {
      IPv4: {
        state: 'in force',
        services: 1,
        endpoints: 3,
        rules: { nat: 30, filter: 10 },
        lastSync: { ms: 22, rules: 4 },
      },
    },
    drift: { repairs: 1 },
  });
  told.telemetry.warned({ object: 'Service default/web', kind: 'bad-port', message: 'port 0' });
  expect(status().warnings).toEqual([expect.objectContaining({ object: 'Service default/web', message: 'port 0' })]);
  told.telemetry.failed({
    family: 'IPv4',
    error: new Error('exit 4'),
    full: false,
    isWrite: true,
    durationMs: 9,
    failures: 1,
  });
  expect(board.notReady(writing)).toEqual(['the IPv4 rules cannot be written: exit 4']);
});

test("a Service's warnings go when it changes", async () => {
  const told = new Told();
  told.telemetry.warned({ object: 'Service default/web', kind: 'bad-port', message: 'port 0' });
  await told.clock.advance(5000);
  told.telemetry.changed([{ op: 'set', object: makeService() }]);
  expect(told.board.status(of, writing).warnings).toEqual([]);
});

test('a dry run does not say that it synced', () => {
  const told = new Told({ dryRun: true });
  told.synced({});
  expect(told.lines.map(({ msg }) => msg)).toEqual(['would sync']);
});
