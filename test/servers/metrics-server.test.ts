import { MetricsServer } from '../../src/servers/metrics-server';
import { ProxyMetrics } from '../../src/telemetry/metrics';
import { recordLog, TestClock } from './listening';

let server: MetricsServer;
afterEach(() => server.stop());

async function serve(metrics: {
  contentType: string;
  print(mode: string): Promise<string>;
}): Promise<(path: string) => string> {
  const address = { address: '127.0.0.1', port: 0 };
  server = new MetricsServer({
    address,
    hardFail: true,
    metrics,
    mode: () => 'iptables',
    clock: new TestClock(0),
    log: recordLog().log,
  });
  await server.start();
  return (path) => `http://127.0.0.1:${server.address()?.port ?? 0}${path}`;
}

test('/metrics is the text exposition', async () => {
  const metrics = new ProxyMetrics('1.2.3');
  metrics.syncLastTimestamp.set({ ip_family: 'IPv4' }, 5);
  const url = await serve(metrics);
  const response = await fetch(url('/metrics'));
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(await response.text()).toContain('\nkubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family="IPv4"} 5\n');
});

test.each([
  ['/proxyMode', 200, 'iptables'],
  ['/healthz', 200, 'ok'],
  ['/', 404, '404 page not found\n'],
  ['/debug/pprof', 404, '404 page not found\n'],
])('%s is %d %j', async (path, status, body) => {
  const url = await serve(new ProxyMetrics('0'));
  const response = await fetch(url(path));
  expect([response.status, await response.text()]).toEqual([status, body]);
  expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
});

test('/metrics/slis tells the health check once it was asked', async () => {
  const url = await serve(new ProxyMetrics('0'));
  const text = async (path: string): Promise<string> => (await fetch(url(path))).text();
  expect(await text('/metrics/slis')).toBe('');
  await text('/healthz');
  await text('/healthz');
  const told = await text('/metrics/slis');
  expect(told).toContain('kubernetes_healthcheck{name="ping",type="healthz"} 1\n');
  expect(told).toContain('kubernetes_healthchecks_total{name="ping",status="success",type="healthz"} 2\n');
});

test('metrics that cannot be told are a 500, not a hang', async () => {
  const url = await serve({ contentType: 'text/plain', print: () => Promise.reject(new Error('no such gauge')) });
  const response = await fetch(url('/metrics'));
  expect([response.status, await response.text()]).toEqual([500, 'Error: no such gauge\n']);
});
