/** Random clusters for property tests. There are few names, so that the same objects appear, change, move and disappear. */
import fc from 'fast-check';
import type { ClusterChange, EndpointSlice, Node, Service, SliceEndpoint } from '../../src/model/cluster';
import { makeEndpoint, makeNode, makeService, makeSlice } from './cluster-objects';

const nameArb = fc.constantFrom('web', 'api', 'dns');
const sliceNameArb = fc.constantFrom('s1', 's2', 's3');
const policyArb = fc.constantFrom('Cluster' as const, 'Local' as const);
const portArb = fc.constantFrom(
  { name: '', protocol: 'TCP' as const, port: 80, nodePort: 0 },
  { name: 'http', protocol: 'TCP' as const, port: 80, nodePort: 30080 },
  { name: 'dns', protocol: 'UDP' as const, port: 53, nodePort: 0 },
);
const hintsArb = (texts: readonly string[]): fc.Arbitrary<string[]> => fc.subarray([...texts]);

const serviceArb: fc.Arbitrary<Service> = fc
  .record({
    name: nameArb,
    isHeadless: fc.boolean(),
    clusterIPs: fc.constantFrom({ IPv4: '10.96.0.10' }, { IPv6: 'fd96::10' }, { IPv4: '10.96.0.11', IPv6: 'fd96::11' }),
    ports: fc.uniqueArray(portArb, { maxLength: 3 }),
    affinitySeconds: fc.constantFrom(0, 600),
    internalTrafficPolicy: policyArb,
    externalTrafficPolicy: policyArb,
    externalIPs: fc.subarray(['198.51.100.1', '2001:db8::1']),
    loadBalancerIPs: fc.subarray(['203.0.113.1', '198.51.100.1']),
    sourceRanges: fc.subarray(['192.168.88.0/24', '10.0.0.0/8', 'fd88::/64']),
    healthCheckNodePort: fc.constantFrom(0, 32000),
  })
  .map(({ isHeadless, ...fields }) => makeService({ ...fields, ...(isHeadless ? { notProxied: 'headless' } : {}) }));

const endpointArb = (addresses: readonly string[]): fc.Arbitrary<SliceEndpoint> =>
  fc
    .record({
      address: fc.constantFrom(...addresses),
      ready: fc.boolean(),
      serving: fc.boolean(),
      terminating: fc.boolean(),
      nodeName: fc.constantFrom('', 'node', 'node2'),
      zoneHints: hintsArb(['z1', 'z2']),
      nodeHints: hintsArb(['node', 'node2']),
    })
    .map(({ address, ...fields }) => makeEndpoint(address, fields));

const sliceArb: fc.Arbitrary<EndpointSlice> = fc.boolean().chain((isIPv4) =>
  fc
    .record({
      source: fc.constantFrom('EndpointSlice' as const, 'Endpoints' as const),
      name: sliceNameArb,
      serviceName: nameArb,
      ports: fc.uniqueArray(
        portArb.map(({ name, protocol }) => ({ name, protocol, port: 8080 })),
        { selector: ({ name }) => name, maxLength: 2 },
      ),
      endpoints: fc.array(endpointArb(isIPv4 ? ['10.0.0.1', '10.0.0.2', '9.0.0.1'] : ['fd00::1', 'fd00:1::1']), {
        maxLength: 3,
      }),
    })
    .map(({ endpoints, ...fields }) => makeSlice(endpoints, { ...fields, family: isIPv4 ? 'IPv4' : 'IPv6' })),
);

const nodeArb: fc.Arbitrary<Node> = fc
  .record({ name: fc.constantFrom('node', 'node2'), zone: fc.constantFrom('', 'z1') })
  .map((fields) => makeNode(fields));

const deletionArb: fc.Arbitrary<ClusterChange> = fc.oneof(
  nameArb.map((name) => ({ op: 'delete', kind: 'Service', namespace: 'default', name }) as const),
  sliceNameArb.map(
    (name) => ({ op: 'delete', kind: 'EndpointSlice', source: 'EndpointSlice', namespace: 'default', name }) as const,
  ),
  nameArb.map(
    (name) => ({ op: 'delete', kind: 'EndpointSlice', source: 'Endpoints', namespace: 'default', name }) as const,
  ),
  fc.constantFrom('node', 'node2').map((name) => ({ op: 'delete', kind: 'Node', namespace: '', name }) as const),
);

const changeArb: fc.Arbitrary<ClusterChange> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.oneof(serviceArb, sliceArb, sliceArb, nodeArb).map((object) => ({ op: 'set', object }) as const),
  },
  { weight: 1, arbitrary: deletionArb },
);

/** Changes, in the batches in which they arrive. */
export const historyArb: fc.Arbitrary<ClusterChange[][]> = fc.array(fc.array(changeArb, { maxLength: 6 }), {
  maxLength: 8,
});
