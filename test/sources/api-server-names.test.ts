/** Names and values that the API server takes: each object that has them is served, in every mode, and without a warning. */
import fc from 'fast-check';
import { usualSettings } from '../../src/machine/iptables-settings';
import { noTables } from '../../src/machine/open-machine';
import { IptablesBackend } from '../../src/backends/iptables/backend';
import { DesiredState } from '../../src/backends/ipvs/desired-state';
import { parseAddress, parseCidr } from '../../src/model/address';
import type { ClusterChange, ClusterWarning, EndpointSlice, Service } from '../../src/model/cluster';
import { ClusterStore } from '../../src/model/cluster-store';
import { planNodeSettings } from '../../src/planner/node-settings';
import { planCluster } from '../../src/planner/plan-cluster';
import { decodeEndpointSlice } from '../../src/sources/kubernetes/decode-endpoint-slice';
import { decodeEndpoints } from '../../src/sources/kubernetes/decode-endpoints';
import { decodeNode } from '../../src/sources/kubernetes/decode-node';
import { decodeService } from '../../src/sources/kubernetes/decode-service';
import { labConfiguration } from '../conformance/planned-cluster';
import { ipvsSettings } from '../support/settings';

const inner = fc.constantFrom('a', 'b', 'z', '0', '9', '-');
const edge = fc.constantFrom('a', 'b', 'z', '0', '9');
/** A part of a name: letters, digits, and dashes within. */
const partArb = (longest: number): fc.Arbitrary<string> =>
  fc
    .tuple(edge, fc.array(inner, { maxLength: longest - 2, size: 'max' }), edge)
    .map(([first, middle, last]) => first + middle.join('') + last);
/** RFC 1123 label, as the API server has it for namespaces, Services and ports. */
const labelArb = fc.oneof(partArb(63), fc.constant('a'.repeat(63)), edge);
/** RFC 1123 subdomain, as the API server has it for slices, Endpoints, Nodes and pods: 253 in all, and its parts as long as that. */
const subdomainArb = fc.oneof(
  partArb(253),
  fc.constant('a'.repeat(253)),
  fc.array(partArb(120), { minLength: 2, maxLength: 4 }).map((parts) =>
    parts
      .join('.')
      .slice(0, 253)
      .replace(/[-.]+$/, ''),
  ),
);
const labelValueArb = fc.stringMatching(/^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/);

interface Names {
  readonly namespace: string;
  readonly service: string;
  readonly portName: string;
  readonly slice: string;
  readonly node: string;
  readonly pod: string;
  readonly zone: string;
}

const namesArb: fc.Arbitrary<Names> = fc.record({
  namespace: labelArb,
  service: labelArb,
  portName: fc.oneof(labelArb, fc.constant('')),
  slice: subdomainArb,
  node: subdomainArb,
  pod: subdomainArb,
  zone: labelValueArb,
});

const serviceOf = ({ namespace, service, portName }: Names): object => ({
  metadata: { namespace, name: service },
  spec: {
    type: 'LoadBalancer',
    clusterIP: '10.96.0.10',
    externalTrafficPolicy: 'Local',
    healthCheckNodePort: 30081,
    loadBalancerSourceRanges: ['192.0.2.0/24'],
    externalIPs: ['198.51.100.1'],
    sessionAffinity: 'ClientIP',
    ports: [{ ...(portName === '' ? {} : { name: portName }), port: 80, nodePort: 30080 }],
  },
  status: { loadBalancer: { ingress: [{ ip: '203.0.113.1' }] } },
});

const sliceOf = ({ namespace, service, portName, slice, node, pod, zone }: Names): object => ({
  metadata: { namespace, name: slice, labels: { 'kubernetes.io/service-name': service } },
  addressType: 'IPv4',
  ports: [{ name: portName, port: 8080 }],
  endpoints: [
    {
      addresses: ['10.244.1.2'],
      nodeName: node,
      zone,
      hints: { forZones: [{ name: zone }], forNodes: [{ name: node }] },
      targetRef: { kind: 'Pod', name: pod },
    },
  ],
});

function mustDecode<T>(object: object, decode: (object: unknown, warn: (warning: ClusterWarning) => void) => T): T {
  const warnings: ClusterWarning[] = [];
  const decoded = decode(object, (warning) => warnings.push(warning));
  expect(warnings).toEqual([]);
  return decoded;
}

function clusterOf(names: Names): ClusterStore {
  const store = new ClusterStore(0);
  const node = { metadata: { name: names.node, labels: { 'topology.kubernetes.io/zone': names.zone } } };
  const objects = [
    mustDecode(serviceOf(names), decodeService),
    mustDecode(sliceOf(names), decodeEndpointSlice),
    mustDecode(node, decodeNode),
  ];
  store.apply(objects.map((object): ClusterChange => ({ op: 'set', object: object as Service })));
  return store;
}

test('a Service of any names has its endpoint, which is local and named', () => {
  fc.assert(
    fc.property(namesArb, (names) => {
      const store = clusterOf(names);
      const config = { ...labConfiguration({}), hostname: names.node };
      const { settings } = planNodeSettings(config, store.nodes.get(names.node), ['192.168.88.10']);
      const [service] = planCluster(store, 'IPv4', settings).services.values();
      expect(service?.ports).toMatchObject([
        { portName: names.portName, localEndpoints: [{ address: '10.244.1.2', port: 8080, isLocal: true }] },
      ]);
      const [slice] = [...store.services.keys()].flatMap((key) => store.slicesOf(key));
      expect(slice?.endpoints).toMatchObject([
        { nodeName: names.node, zone: names.zone, nodeHints: [names.node], target: `Pod/${names.pod}` },
      ]);
    }),
  );
});

test('no comment of a rule is longer than the kernel takes, in either mode', () => {
  fc.assert(
    fc.property(namesArb, (names) => {
      const store = clusterOf(names);
      const config = { ...labConfiguration({}), hostname: names.node };
      const { settings } = planNodeSettings(config, store.nodes.get(names.node), ['192.168.88.10']);
      const plan = planCluster(store, 'IPv4', settings);
      const iptables = new IptablesBackend('IPv4', usualSettings(labConfiguration({})), noTables);
      iptables.render(plan);
      const ipvs = new DesiredState('IPv4', ipvsSettings);
      ipvs.render(plan);
      const lines = [iptables.rules.tables, ipvs.tables].flatMap((tables) =>
        Object.values(tables).flatMap((table) => [...table.desiredEntries()].map(([, text]) => text)),
      );
      const comments = lines.join('\n').match(/(?<=--comment ")[^"]*(?=")/g) ?? [];
      expect(comments.length).toBeGreaterThan(0);
      for (const comment of comments) expect(comment.length).toBeLessThan(256);
    }),
    { numRuns: 30 },
  );
});

test('Endpoints of any name are read', () => {
  fc.assert(
    fc.property(subdomainArb, subdomainArb, (name, node) => {
      const object = {
        metadata: { namespace: 'default', name },
        subsets: [{ addresses: [{ ip: '10.244.1.2', nodeName: node }], ports: [{ port: 8080 }] }],
      };
      const [slice] = mustDecode(object, decodeEndpoints) ?? [];
      expect(slice).toMatchObject({ serviceName: name, endpoints: [{ nodeName: node }] });
    }),
  );
});

/** Forms that the API server took before it asked for canonical ones, as ParseIPSloppy reads them. */
test.each([
  ['010.000.0.01', '10.0.0.1'],
  ['::ffff:1.2.3.4', '1.2.3.4'],
  ['::FFFF:0102:0304', '1.2.3.4'],
  ['::ffff:001.002.003.004', '1.2.3.4'],
  ['2001:0DB8:0:0::0001', '2001:db8::1'],
  ['02001:db8::00001', '2001:db8::1'],
  ['0:0:0:0:0:0:0:1', '::1'],
])('the address %s is %s', (text, canonical) => {
  expect(parseAddress(text)).toBe(canonical);
});

test.each([
  ['10.1.2.3/8', '10.0.0.0', 8],
  ['010.0.0.0/08', '10.0.0.0', 8],
  ['2001:db8::1/032', '2001:db8::', 32],
  ['::ffff:10.0.0.0/104', '10.0.0.0', 8],
])('the CIDR %s is %s/%i', (text, address, prefix) => {
  expect(parseCidr(text)).toMatchObject({ address, prefix });
});

/** Lists and objects that are null or absent stand for nothing set, wherever they are. */
test.each([
  ['Service', { spec: { clusterIP: '10.96.0.10', ports: null, externalIPs: null, ipFamilies: null }, status: null }],
  [
    'Service',
    { spec: { clusterIP: '', clusterIPs: ['10.96.0.10'], ipFamilies: ['IPv4'], loadBalancerSourceRanges: null } },
  ],
  ['Service', { spec: { clusterIP: '10.96.0.10', sessionAffinity: 'ClientIP', sessionAffinityConfig: null } }],
  ['Service', { spec: { clusterIP: '10.96.0.10', internalTrafficPolicy: 'PreferZone', trafficDistribution: 'New' } }],
  ['Service', { spec: { clusterIP: '10.96.0.10' }, status: { loadBalancer: { ingress: null } } }],
])('a %s of %j is served without a warning', (_kind, fields) => {
  const service = mustDecode(
    { metadata: { namespace: 'default', name: 'web', labels: null }, ...fields },
    decodeService,
  );
  expect(service).toMatchObject({ clusterIPs: { IPv4: '10.96.0.10' } });
  expect(service).not.toHaveProperty('notProxied');
});

test.each([
  [{ endpoints: null, ports: null }, 0],
  [{ endpoints: [{ addresses: ['10.0.0.1'], conditions: null, hints: null, zone: null, targetRef: null }] }, 1],
  [{ endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready: null, paused: true } }] }, 1],
])('a slice of %j is read without a warning', (fields, count) => {
  const object = {
    metadata: { namespace: 'default', name: 'a', labels: { 'kubernetes.io/service-name': 'web' }, annotations: null },
    addressType: 'IPv4',
    ports: [{ name: '', port: 8080 }],
    ...fields,
  };
  const slice: EndpointSlice | undefined = mustDecode(object, decodeEndpointSlice);
  expect(slice?.endpoints.filter(({ ready }) => ready)).toHaveLength(count);
});

test('a Node whose lists are null or empty is read without a warning', () => {
  const spec = { podCIDR: '', podCIDRs: null, taints: null };
  const node = mustDecode({ metadata: { name: 'n', labels: null }, spec, status: { addresses: null } }, decodeNode);
  expect(node).toMatchObject({ podCIDRs: [], addresses: [], leaving: false });
});
