/** NodePorts on localhost in nftables mode: by rules on 127.0.0.1, by a listener on ::1. */
import { service, slice } from '../conformance/objects';
import { BusyCluster } from '../support/busy-cluster';
import { describeAsRoot } from '../support/network-namespace';
import { until } from '../support/until';

const nodePort = (name: string, port: number, spec: Readonly<Record<string, unknown>> = {}) => [
  service({
    name,
    type: 'NodePort',
    clusterIPs: [`10.96.0.${port - 30000}`, `fd96::${port - 30000}`],
    ports: [{ port: 80, targetPort: 8080, nodePort: port }],
    spec,
  }),
  ...(['IPv4', 'IPv6'] as const).map((family) => slice(['a', 'd'], { service: name, family })),
];
const objects = [
  ...nodePort('web', 30080),
  ...nodePort('local', 30081, { externalTrafficPolicy: 'Local' }),
  ...nodePort('sticky', 30082, { sessionAffinity: 'ClientIP' }),
];

describeAsRoot('NodePorts on localhost in nftables mode', () => {
  const cluster = new BusyCluster({ mode: 'nftables', config: { nodePortAddresses: ['primary', 'localhost'] } });
  beforeAll(async () => {
    await cluster.setUp(objects);
    await cluster.startProxy();
  }, 60_000);
  afterAll(() => cluster.stop());

  /** The pods that answer the node itself, or how it fails. */
  async function answers(to: string, port: number): Promise<string> {
    const all = await cluster.lab.probe('node', { to, port, count: 24, timeoutMs: 3000 });
    return [...new Set(all.map((each) => (each.outcome === 'ok' ? each.pod : each.outcome)))].sort().join(' ');
  }

  test.each(['127.0.0.1', '::1'])('%s reaches every endpoint, also under policy Local', async (to) => {
    expect(await answers(to, 30080)).toBe('a d');
    expect(await answers(to, 30081)).toBe('a d');
  });

  test('under session affinity the node keeps its pod on ::1', async () => {
    expect(await answers('::1', 30082)).toMatch(/^[ad]$/);
  });

  test('a Service that goes is refused on ::1, and the listeners are counted', async () => {
    const listeners = async (): Promise<string | undefined> => {
      const { body } = await cluster.lab.http('node', 'http://127.0.0.1:10249/metrics');
      return /^kubeproxy_nftables_localhost_nodeport_listeners\{ip_family="IPv6"\} (\d+)$/m.exec(body)?.[1];
    };
    expect(await listeners()).toBe('3');
    const held = await cluster.lab.hold('node', { to: '::1', port: 30080 });
    cluster.api.delete('services', 'default/web');
    await until(async () => (await listeners()) === '2');
    expect(await answers('::1', 30080)).toBe('refused');
    expect((await held.ask()).outcome).toBe('ok');
  });

  test('a change of nodePortAddresses closes and opens them', async () => {
    await cluster.reconfigure({ nodePortAddresses: ['primary'] });
    expect(await answers('::1', 30081)).toBe('refused');
    await cluster.reconfigure({ nodePortAddresses: ['primary', 'localhost'] });
    await until(async () => (await answers('::1', 30081)) === 'a d');
  });
});
