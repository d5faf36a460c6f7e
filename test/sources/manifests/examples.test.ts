import { join } from 'node:path';
import type { Family } from '../../../src/model/address';
import { ClusterStore } from '../../../src/model/cluster-store';
import { planNodeSettings } from '../../../src/planner/node-settings';
import type { Frontend, ServicePortPlan } from '../../../src/planner/plan';
import { servicePortName } from '../../../src/planner/plan';
import { planCluster } from '../../../src/planner/plan-cluster';
import { ManifestSource } from '../../../src/sources/manifests/manifest-source';

const examples = join(__dirname, '../../../manifests/examples');
const config = {
  hostname: 'node',
  detectLocalMode: 'ClusterCIDR',
  clusterCIDRs: ['10.244.0.0/16', 'fd44::/16'],
  bridgeInterface: '',
  interfaceNamePrefix: '',
  nodePortAddresses: [],
  masqueradeAll: false,
  localhostNodePorts: true,
  allowServiceExternalIPs: true,
  bindAddress: '',
} as const;
const hosts: Readonly<Record<string, string>> = {
  '10.244.1.2': 'a',
  '10.244.1.3': 'b',
  '10.244.1.4': 'c',
  '10.244.2.2': 'd',
  '10.244.2.3': 'e',
  'fd44:1::2': 'a',
  'fd44:2::2': 'd',
  '192.168.88.11': 'node2',
  '192.168.88.100': 'ext',
};

async function readExamples(): Promise<{ store: ClusterStore; warnings: unknown[] }> {
  const source = await ManifestSource.open({ paths: [examples], watch: false });
  const store = new ClusterStore(0);
  const warnings: unknown[] = [];
  const sink = {
    apply: (...args: Parameters<ClusterStore['apply']>) => store.apply(...args),
    warn: (warning: unknown) => warnings.push(warning),
    synced: () => undefined,
  };
  source.start(sink);
  await source.stop();
  return { store, warnings };
}

function line(port: ServicePortPlan, { kind, address, port: number, verdict }: Frontend): string {
  const list =
    verdict.kind !== 'forward' ? [] : verdict.endpoints === 'local' ? port.localEndpoints : port.clusterEndpoints;
  const pods = list.map((endpoint) => `${hosts[endpoint.address] ?? '?'}:${endpoint.port}`);
  return `${servicePortName(port)} ${kind} ${address} ${port.protocol} ${number} ${pods.join(' ')}`;
}

async function planLines(family: Family): Promise<string[]> {
  const { store } = await readExamples();
  const { settings } = planNodeSettings(config, store.nodes.get('node'), []);
  const ports = [...planCluster(store, family, settings).services.values()].flatMap(({ ports }) => ports);
  return ports.flatMap((port) => port.frontends.map((frontend) => line(port, frontend))).sort();
}

test('nothing in them is warned about', async () => {
  const { store, warnings } = await readExamples();
  expect(warnings).toEqual([]);
  expect([...store.nodes.keys()]).toEqual(['node', 'node2']);
  const notProxied = [...store.services.values()].map((service) => service.notProxied);
  expect(notProxied.filter((why) => why !== undefined).sort()).toEqual(['ExternalName', 'headless']);
});

test('who answers, from outside of this node', async () => {
  expect(await planLines('IPv4')).toEqual([
    'blog/web ClusterIP 10.96.1.1 TCP 80 a:8080',
    'default/affinity ClusterIP 10.96.1.40 TCP 80 a:8080 b:8080 d:8080 e:8080',
    'default/by-endpoints ClusterIP 10.96.1.50 TCP 5000 ext:5000',
    'default/by-slice ClusterIP 10.96.1.51 TCP 80 ext:9376 node2:9376',
    'default/dual-stack ClusterIP 10.96.1.60 TCP 80 a:8080 d:8080',
    'default/dual-stack LoadBalancer 203.0.113.3 TCP 80 a:8080 d:8080',
    'default/dual-stack NodePort  TCP 30083 a:8080 d:8080',
    'default/external-ip ClusterIP 10.96.1.25 TCP 80 a:8080 e:8080',
    'default/external-ip ExternalIP 198.51.100.1 TCP 80 a:8080 e:8080',
    'default/local ClusterIP 10.96.1.31 TCP 80 a:8080 b:8080 d:8080',
    'default/local LoadBalancer 203.0.113.2 TCP 80 a:8080 b:8080',
    'default/local NodePort  TCP 30082 a:8080 b:8080',
    'default/multi-port:http ClusterIP 10.96.1.10 TCP 80 a:8080 d:8080',
    'default/multi-port:https ClusterIP 10.96.1.10 TCP 443 a:8443 d:8443',
    'default/node-port ClusterIP 10.96.1.20 TCP 80 b:8080 e:8080',
    'default/node-port NodePort  TCP 30080 b:8080 e:8080',
    'default/rollout ClusterIP 10.96.1.70 TCP 80 a:8080 b:8080 d:8080',
    'default/rollout-last ClusterIP 10.96.1.71 TCP 80 e:8080',
    'default/source-ranges ClusterIP 10.96.1.30 TCP 80 a:8080 d:8080',
    'default/source-ranges LoadBalancer 203.0.113.1 TCP 80 a:8080 d:8080',
    'default/source-ranges NodePort  TCP 30081 a:8080 d:8080',
    'kube-system/kube-dns:dns ClusterIP 10.96.0.10 UDP 53 a:53 d:53',
    'kube-system/kube-dns:dns-tcp ClusterIP 10.96.0.10 TCP 53 a:53 d:53',
    'kube-system/kube-dns:metrics ClusterIP 10.96.0.10 TCP 9153 a:9153 d:9153',
    'shop/web ClusterIP 10.96.1.2 TCP 80 b:8080 d:8080',
  ]);
  expect(await planLines('IPv6')).toEqual([
    'default/dual-stack ClusterIP fd96::1:60 TCP 80 a:8080 d:8080',
    'default/dual-stack LoadBalancer 2001:db8:1::3 TCP 80 a:8080 d:8080',
    'default/dual-stack NodePort  TCP 30083 a:8080 d:8080',
  ]);
});
