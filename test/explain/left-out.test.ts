import {
  type Choice,
  endpointsOfPort,
  explainLeftOut,
  type PortEndpoints,
  whereReady,
  whyNoneIsReady,
} from '../../src/explain/left-out';
import { type EndpointSlice, type Service, serviceKey } from '../../src/model/cluster';
import { ClusterStore } from '../../src/model/cluster-store';
import { parseManifests } from '../../src/sources/manifests/parse-manifests';
import { type Endpoint, service as serviceObject, slice, type SliceFields } from '../conformance/objects';
import { plan } from '../support/plans';
import { makeSettings } from '../support/settings';

const settings = makeSettings();
const cluster: Choice = { list: 'cluster', policy: 'externalTrafficPolicy', chosen: new Set() };
const local: Choice = { ...cluster, list: 'local' };

function read(...objects: readonly ReturnType<typeof slice>[]): {
  readonly service: Service;
  readonly slices: readonly EndpointSlice[];
} {
  const store = new ClusterStore(0);
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [serviceObject(), ...objects] });
  store.apply(parseManifests(list, 'cluster').objects.flatMap(({ sets }) => sets));
  const [service] = store.services.values();
  if (service === undefined) throw new Error('there is a Service');
  return { service, slices: store.slicesOf(serviceKey('default', 'web')) };
}

/** Of default/web on the node `node` in zone z1. */
function endpointsOf(endpoints: readonly Endpoint[], fields?: SliceFields): PortEndpoints {
  const { service, slices } = read(slice(endpoints, fields));
  const [port] = service.ports;
  if (port === undefined) throw new Error('there is a port');
  return endpointsOfPort(service, port, slices, plan('IPv4', [], settings));
}

test('endpoints with their pod, node and zone', () => {
  expect(endpointsOf(['d']).all.get('10.244.2.2:8080')).toMatchObject({
    end: '10.244.2.2:8080',
    pod: 'default/d',
    nodeName: 'node2',
    zone: 'z2',
  });
});

test('ports of the slices are told only where the port has no endpoint', () => {
  const ports = [
    { name: 'web', port: 8080 },
    { name: 'dns', port: 53, protocol: 'UDP' },
  ] as const;
  expect(endpointsOf(['a'], { ports })).toEqual({ all: new Map(), otherPorts: ['dns/UDP', 'web/TCP'] });
  expect(endpointsOf(['a'], { ports: [...ports, { port: 80 }] }).otherPorts).toEqual([]);
  expect(endpointsOf(['a'], { ports, family: 'IPv6' }).otherPorts).toEqual([]);
});

test.each<[endpoint: Endpoint, choice: Choice, why: string]>([
  [['a', { ready: false }], cluster, 'not ready'],
  [['a', { ready: false, serving: false, terminating: true }], cluster, 'terminating and no longer serving'],
  [['a', { ready: false, serving: true, terminating: true }], cluster, 'terminating; other endpoints are ready'],
  // What it is itself counts before where it is.
  [['d', { ready: false }], local, 'not ready'],
  [['d', {}], local, 'on node2: externalTrafficPolicy is Local'],
  [['d', {}], { ...local, policy: 'internalTrafficPolicy' }, 'on node2: internalTrafficPolicy is Local'],
  [['d', {}], { ...local, list: undefined }, 'on node2: externalTrafficPolicy is Local'],
  [['d', { zones: ['z2', 'z3'] }], cluster, 'hinted to zone z2, z3; this node is in z1'],
  [['d', { zones: ['z2'], nodes: ['node2'] }], cluster, 'hinted to node node2'],
  [['a', { zones: ['z2'], nodes: ['node'] }], cluster, 'hinted to zone z2; this node is in z1'],
])('%j is left out: %#', (endpoint, choice, why) => {
  expect(explainLeftOut(endpointsOf([endpoint]), choice, settings).map((one) => one.why)).toEqual([why]);
});

test('an endpoint that is chosen is not left out', () => {
  const endpoints = endpointsOf(['a', 'd']);
  const choice = { ...cluster, chosen: new Set(['10.244.2.2:8080']) };
  expect(explainLeftOut(endpoints, choice, settings).map(({ pod }) => pod)).toEqual(['default/a']);
});

test('where endpoints are ready, and how the others are', () => {
  const mixed = endpointsOf(['a', 'd', ['b', { ready: false }], ['e', { ready: false, terminating: true }]]);
  expect(whereReady(mixed)).toBe('2 are on node, node2');
  expect(whyNoneIsReady(mixed)).toBe('2 ready, 1 not ready, 1 terminating');
  expect(whereReady(endpointsOf(['d']))).toBe('1 is on node2');
  const none = endpointsOf([['a', { ready: false }]]);
  expect(whereReady(none)).toBe('');
  expect(whyNoneIsReady(endpointsOf([]))).toBe('');
});

test('of many nodes five are named', () => {
  const { service, slices } = read(slice(Array.from({ length: 8 }, (_, i) => ['a', { address: `10.244.1.${i + 2}` }])));
  const spread = slices.map((one) => ({
    ...one,
    endpoints: one.endpoints.map((endpoint, i) => ({ ...endpoint, nodeName: `n${i}` })),
  }));
  const [port] = service.ports;
  if (port === undefined) throw new Error('there is a port');
  expect(whereReady(endpointsOfPort(service, port, spread, plan('IPv4', [], settings)))).toBe(
    '8 are on n0, n1, n2, n3, n4 and 3 more',
  );
});
