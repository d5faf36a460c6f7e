import { ProxyMetrics } from '../../src/telemetry/metrics';

const always = [
  'kubeproxy_sync_proxy_rules_endpoint_changes_pending',
  'kubeproxy_sync_proxy_rules_endpoint_changes_total',
  'kubeproxy_sync_proxy_rules_service_changes_pending',
  'kubeproxy_sync_proxy_rules_service_changes_total',
  'process_cpu_seconds_total',
  'process_max_fds',
  'process_open_fds',
  'process_resident_memory_bytes',
  'process_start_time_seconds',
  'process_virtual_memory_bytes',
  'process_virtual_memory_max_bytes',
  'vipwire_build_info',
  'vipwire_memory_bytes',
];

const namesIn = (text: string): string[] => [...text.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1] ?? '');

test('what was never observed is not exposed', async () => {
  const text = await new ProxyMetrics('1.2.3').print('iptables');
  expect(namesIn(text)).toEqual(always);
  expect(text).toContain('vipwire_build_info{version="1.2.3"} 1\n');
  expect(text.endsWith('\n')).toBe(true);
});

describe('a series, after one observation', () => {
  test.each<[(metrics: ProxyMetrics) => void, string, string]>([
    [
      (m) => m.syncLastTimestamp.set({ ip_family: 'IPv4' }, 5.25),
      'gauge',
      'kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family="IPv4"} 5.25',
    ],
    [
      (m) => m.syncLastQueuedTimestamp.set({ ip_family: 'IPv6' }, 5),
      'gauge',
      'kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds{ip_family="IPv6"} 5',
    ],
    [(m) => m.endpointChangesPending.set(2), 'gauge', 'kubeproxy_sync_proxy_rules_endpoint_changes_pending 2'],
    [(m) => m.endpointChangesTotal.inc(), 'counter', 'kubeproxy_sync_proxy_rules_endpoint_changes_total 1'],
    [(m) => m.serviceChangesPending.set(2), 'gauge', 'kubeproxy_sync_proxy_rules_service_changes_pending 2'],
    [(m) => m.serviceChangesTotal.inc(), 'counter', 'kubeproxy_sync_proxy_rules_service_changes_total 1'],
    [
      (m) => m.noLocalEndpoints.set({ traffic_policy: 'internal', ip_family: 'IPv4' }, 0),
      'gauge',
      'kubeproxy_sync_proxy_rules_no_local_endpoints_total{traffic_policy="internal",ip_family="IPv4"} 0',
    ],
    [(m) => m.healthzTotal.inc({ code: '200' }), 'counter', 'kubeproxy_proxy_healthz_total{code="200"} 1'],
    [(m) => m.livezTotal.inc({ code: '503' }), 'counter', 'kubeproxy_proxy_livez_total{code="503"} 1'],
    [
      (m) => m.iptablesTotal.set({ table: 'nat', ip_family: 'IPv4' }, 9),
      'gauge',
      'kubeproxy_sync_proxy_rules_iptables_total{table="nat",ip_family="IPv4"} 9',
    ],
    [
      (m) => m.iptablesLast.set({ table: 'filter', ip_family: 'IPv4' }, 9),
      'gauge',
      'kubeproxy_sync_proxy_rules_iptables_last{table="filter",ip_family="IPv4"} 9',
    ],
    [
      (m) => m.iptablesRestoreFailures.inc({ ip_family: 'IPv4' }),
      'counter',
      'kubeproxy_sync_proxy_rules_iptables_restore_failures_total{ip_family="IPv4"} 1',
    ],
    [
      (m) => m.iptablesPartialRestoreFailures.inc({ ip_family: 'IPv4' }),
      'counter',
      'kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total{ip_family="IPv4"} 1',
    ],
    [
      (m) => m.conntrackDeletedEntries.inc({ ip_family: 'IPv4' }, 4),
      'counter',
      'kubeproxy_conntrack_reconciler_deleted_entries_total{ip_family="IPv4"} 4',
    ],
    [
      (m) => m.watchRestarts.inc({ resource: 'services', reason: 'idle' }),
      'counter',
      'vipwire_watch_restarts_total{resource="services",reason="idle"} 1',
    ],
    [
      (m) => m.relists.inc({ resource: 'nodes', reason: 'gone' }),
      'counter',
      'vipwire_relists_total{resource="nodes",reason="gone"} 1',
    ],
    [
      (m) => m.driftRepairs.inc({ table: 'nat', reason: 'flush', ip_family: 'IPv4' }),
      'counter',
      'vipwire_drift_repairs_total{table="nat",reason="flush",ip_family="IPv4"} 1',
    ],
    [
      (m) => m.writeErrors.inc({ backend: 'iptables', ip_family: 'IPv4' }),
      'counter',
      'vipwire_write_errors_total{backend="iptables",ip_family="IPv4"} 1',
    ],
    [(m) => m.warnings.inc({ kind: 'bad-port' }), 'counter', 'vipwire_warnings_total{kind="bad-port"} 1'],
  ])('%s', async (observe, type, line) => {
    const metrics = new ProxyMetrics('0');
    observe(metrics);
    const lines = (await metrics.print('iptables')).split('\n');
    expect(lines).toContain(line);
    const name = /^\w+/.exec(line)?.[0] ?? '';
    expect(lines).toContain(`# TYPE ${name} ${type}`);
    expect(lines.some((each) => each.startsWith(`# HELP ${name} `))).toBe(true);
  });

  const sync = [
    '0.001',
    '0.002',
    '0.004',
    '0.008',
    '0.016',
    '0.032',
    '0.064',
    '0.128',
    '0.256',
    '0.512',
    '1.024',
    '2.048',
    '4.096',
    '8.192',
    '16.384',
    '+Inf',
  ];
  test.each<[string, (metrics: ProxyMetrics) => ProxyMetrics['syncDuration'], string[]]>([
    ['sync_proxy_rules_duration_seconds', (m) => m.syncDuration, sync],
    ['sync_full_proxy_rules_duration_seconds', (m) => m.syncFullDuration, sync],
    ['sync_partial_proxy_rules_duration_seconds', (m) => m.syncPartialDuration, sync],
    ['conntrack_reconciler_sync_duration_seconds', (m) => m.conntrackSyncDuration, sync],
    [
      'network_programming_duration_seconds',
      (m) => m.networkProgrammingDuration,
      ['0.25', '0.5', ...wholeSeconds(), '+Inf'],
    ],
  ])('kubeproxy_%s', async (name, histogram, buckets) => {
    const metrics = new ProxyMetrics('0');
    histogram(metrics).observe({ ip_family: 'IPv4' }, 0.0015);
    const text = await metrics.print('iptables');
    const found = [...text.matchAll(new RegExp(`^kubeproxy_${name}_bucket\\{le="([^"]+)",ip_family="IPv4"\\}`, 'gm'))];
    expect(found.map((match) => match[1])).toEqual(buckets);
    expect(text).toContain(`kubeproxy_${name}_count{ip_family="IPv4"} 1\n`);
    expect(text).toContain(`kubeproxy_${name}_sum{ip_family="IPv4"} 0.0015\n`);
  });
});

function wholeSeconds(): string[] {
  const from = (first: number, last: number, step: number) =>
    Array.from({ length: (last - first) / step + 1 }, (_, i) => String(first + i * step));
  return [...from(1, 59, 1), ...from(60, 115, 5), ...from(120, 300, 30)];
}

test('the process tells its memory, CPU and start', async () => {
  const text = await new ProxyMetrics('0').print('iptables');
  const value = (name: string): number => Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]);
  expect(value('process_resident_memory_bytes')).toBeGreaterThan(10e6);
  expect(value('process_cpu_seconds_total')).toBeGreaterThan(0);
  expect(Math.abs(value('process_start_time_seconds') - (Date.now() / 1000 - process.uptime()))).toBeLessThan(1);
});

test('a watch is stale from when it was lost until it is current', async () => {
  const metrics = new ProxyMetrics('0');
  const seconds = async (): Promise<string | undefined> =>
    /^vipwire_watch_stale_seconds\{resource="services"\} (.*)$/m.exec(await metrics.print('iptables'))?.[1];
  expect(await seconds()).toBeUndefined();
  metrics.watchCurrent('services');
  expect(await seconds()).toBe('0');
  metrics.watchLost('services');
  await new Promise((resolve) => setTimeout(resolve, 20));
  metrics.watchLost('services');
  expect(Number(await seconds())).toBeGreaterThan(0.015);
  metrics.watchCurrent('services');
  expect(await seconds()).toBe('0');
  metrics.watchGone('services');
  expect(await seconds()).toBeUndefined();
});

test('a blocked event loop shows at the second scrape', async () => {
  const metrics = new ProxyMetrics('0');
  expect(await metrics.print('iptables')).not.toContain('vipwire_event_loop_lag_seconds');
  await new Promise((resolve) => setTimeout(resolve, 120));
  const end = Date.now() + 300;
  while (Date.now() < end);
  await new Promise((resolve) => setTimeout(resolve, 60));
  const longest = /vipwire_event_loop_lag_seconds\{quantile="1"\} (\S+)/.exec(await metrics.print('iptables'))?.[1];
  expect(Number(longest)).toBeGreaterThan(0.15);
  expect(Number(longest)).toBeLessThan(5);
});

test('failures of nftables are counted and shown in its own mode', async () => {
  const metrics = new ProxyMetrics('0');
  metrics.nftables.writeFailed('iptables', 'IPv4');
  const [sync, cleanup] = ['sync', 'cleanup'].map(
    (what) => `kubeproxy_sync_proxy_rules_nftables_${what}_failures_total`,
  );
  expect(await metrics.print('nftables')).not.toContain(sync);
  metrics.nftables.writeFailed('nftables', 'IPv4');
  metrics.nftables.cleanupsFailed('IPv6', 2);
  const text = await metrics.print('nftables');
  expect(text).toContain(`${sync}{ip_family="IPv4"} 1\n`);
  expect(text).toContain(`${cleanup}{ip_family="IPv6"} 2\n`);
  for (const mode of ['iptables', 'ipvs']) expect(await metrics.print(mode)).not.toContain('nftables');
});
