/** What a daemon that has lived a little tells at /metrics, against kube-proxy's own list. */
import { iptablesMode } from '../../src/modes/iptables';
import { Agent } from '../../src/daemon/agent';
import { AgentTelemetry } from '../../src/daemon/agent-telemetry';
import { IptablesBackend } from '../../src/backends/iptables/backend';
import { systemClock } from '../../src/host/clock';
import type { Conntrack } from '../../src/host/conntrack';
import { readProcessUsage } from '../../src/host/process-usage';
import { HealthzServer } from '../../src/servers/healthz-server';
import { MetricsServer } from '../../src/servers/metrics-server';
import { ProxyHealth } from '../../src/servers/proxy-health';
import { loadCredentials } from '../../src/sources/kubernetes/credentials';
import { KubernetesSource } from '../../src/sources/kubernetes/source';
import type { Logger } from '../../src/telemetry/log';
import { ProxyMetrics } from '../../src/telemetry/metrics';
import { recordLog } from '../servers/listening';
import { FakeApiServer } from '../support/fake-api-server';
import type { FakeObject } from '../support/fake-api-store';
import { FakeIptables } from '../support/fake-iptables';
import { type Family, parseExposition } from './exposition';
import list from './kube-proxy-metrics.json';
import { until } from '../support/until';
import { iptablesSettings, makeConfiguration } from '../support/settings';

const clock = systemClock;

function web(address: string): FakeObject[] {
  const trigger = { 'endpoints.kubernetes.io/last-change-trigger-time': new Date(Date.now() + 1000).toISOString() };
  const ports = [{ name: 'dns', port: 53, protocol: 'UDP' }];
  return (['IPv4', 'IPv6'] as const).flatMap((family) => {
    const name = `web-${family.toLowerCase()}`;
    const clusterIP = family === 'IPv4' ? '10.96.0.10' : 'fd96::10';
    const labels = { 'kubernetes.io/service-name': name };
    const endpoint = { addresses: [family === 'IPv4' ? address : `fd44::${address.split('.')[3] ?? ''}`] };
    return [
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name, namespace: 'default' },
        spec: { clusterIP, clusterIPs: [clusterIP], ipFamilies: [family], ports },
      },
      {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name, namespace: 'default', labels, annotations: trigger },
        addressType: family,
        ports,
        endpoints: [{ ...endpoint, conditions: { ready: true } }],
      },
    ];
  });
}

function agentOf(api: FakeApiServer, metrics: ProxyMetrics, health: ProxyHealth, log: Logger): Agent {
  const flows = { deleteUdpFlows: () => Promise.resolve(2), close: () => undefined } as unknown as Conntrack;
  const configuration = makeConfiguration({ minSyncPeriodMs: 10, syncPeriodMs: 50 });
  return new Agent({
    configuration,
    nodeName: 'node-1',
    source: new KubernetesSource({
      credentials: loadCredentials({
        kubeconfig: '/kubeconfig',
        master: '',
        readFile: () => api.kubeconfig(),
        environment: {},
        clock,
      }),
      nodeName: '',
      userAgent: 'vipwire/test',
      log,
      observer: {
        watchStarted: () => undefined,
        watchEnded: (resource, reason) => metrics.watchRestarts.inc({ resource, reason }),
        relisted: (resource, reason) => metrics.relists.inc({ resource, reason }),
        requestDone: (answer) => metrics.requestDone(answer),
      },
    }),
    clock,
    log,
    telemetry: new AgentTelemetry({
      mode: iptablesMode,
      metrics,
      log,
      clock,
      health,
      openServiceHealth: undefined,
    }),
    conntrack: flows,
  });
}

/** Runs until every metric has had its reason; tells the text of /metrics. */
async function live(modes: readonly string[]): Promise<string[]> {
  const api = await FakeApiServer.start();
  const { log } = recordLog();
  const metrics = new ProxyMetrics('0', readProcessUsage);
  metrics.countPackets(() => Promise.resolve({ droppedInvalid: 3, acceptedOnLocalhost: 1 }));
  const health = new ProxyHealth(() => 60_000);
  const address = { address: '127.0.0.1', port: 0 };
  const healthz = new HealthzServer({
    address,
    hardFail: true,
    health,
    onAnswer: (probe, code) => (probe === 'healthz' ? metrics.healthzTotal : metrics.livezTotal).inc({ code }),
    notReady: () => [],
    clock,
    log,
  });
  let mode = 'iptables';
  const server = new MetricsServer({ address, hardFail: true, metrics, mode: () => mode, clock, log });
  await Promise.all([healthz.start(), server.start()]);
  const tables = { IPv4: new FakeIptables(), IPv6: new FakeIptables() };
  const agent = agentOf(api, metrics, health, log);
  const url = (of: HealthzServer | MetricsServer, path: string): string =>
    `http://127.0.0.1:${of.address()?.port ?? 0}${path}`;
  try {
    for (const path of ['/healthz', '/livez']) await fetch(url(healthz, path));
    api.put(...web('10.244.1.1'));
    const backends = (['IPv4', 'IPv6'] as const).map(
      (family) => [family, new IptablesBackend(family, iptablesSettings, tables[family])] as const,
    );
    await agent.start(() => Promise.resolve({ backends: new Map(backends) }));
    const serves = (n: number) => (): boolean =>
      tables.IPv4.print().includes(`10.244.1.${n}:53`) && tables.IPv6.print().includes(`[fd44::${n}]:53`);
    await until(serves(1));
    for (const of of Object.values(tables)) of.failures = 1;
    api.put(...web('10.244.1.2'));
    await until(serves(2));
    const texts: string[] = [];
    for (mode of modes) {
      texts.push(await (await fetch(url(server, '/metrics'))).text());
    }
    return texts;
  } finally {
    await agent.stop();
    await Promise.all([healthz.stop(), server.stop(), api.stop()]);
  }
}

const modes = ['iptables', 'ipvs'] as const;
let told: ReadonlyMap<string, ReadonlyMap<string, Family>>;
beforeAll(async () => {
  const texts = await live(modes);
  told = new Map(modes.map((mode, i) => [mode, parseExposition(texts[i] ?? '')]));
});
const known: Readonly<Record<string, readonly string[]>> = list.labels;

describe.each(modes)('in mode %s', (mode) => {
  const ofMode = list.metrics.filter(({ modes: some }) => some?.includes(mode) ?? true);

  test.each(ofMode.map((each) => [each.name, each] as const))('%s', (name, { type, labels, buckets }) => {
    const family = told.get(mode)?.get(name);
    expect(family).toMatchObject({ type, labels });
    expect(family?.bounds).toEqual(buckets === undefined ? [] : list.buckets[buckets as keyof typeof list.buckets]);
    for (const [label, values] of family?.values ?? [])
      if (label !== 'host') for (const value of values) expect(known[label]).toContain(value);
    if (labels.includes('ip_family'))
      expect([...(family?.values.get('ip_family') ?? [])].sort()).toEqual(known['ip_family']);
  });

  test("nothing else has kube-proxy's name", () => {
    const others = [...(told.get(mode)?.keys() ?? [])].filter((name) => !name.startsWith('vipwire_'));
    expect(others.sort()).toEqual(ofMode.map(({ name }) => name).sort());
  });
});
