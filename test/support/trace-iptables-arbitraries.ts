/** Random clusters in which most frontends have someone to go to: each Service has addresses, ports and slices of its own. */
import fc from 'fast-check';
import type { ClusterChange, Service, SliceEndpoint } from '../../src/model/cluster';
import { makeEndpoint, makeService, makeSlice } from './cluster-objects';

const ports = [
  { name: '', protocol: 'TCP', port: 80 },
  { name: 'dns', protocol: 'UDP', port: 53 },
] as const;

const policyArb = fc.constantFrom('Cluster' as const, 'Local' as const);

const endpointArb = (address: string): fc.Arbitrary<SliceEndpoint> =>
  fc
    .record({
      ready: fc.boolean(),
      serving: fc.boolean(),
      terminating: fc.boolean(),
      nodeName: fc.constantFrom('node', 'node2'),
    })
    .map((fields) => makeEndpoint(address, fields));

function endpointsArb(addresses: readonly string[]): fc.Arbitrary<SliceEndpoint[]> {
  return fc
    .subarray([...addresses])
    .chain((some) => (some.length === 0 ? fc.constant([]) : fc.tuple(...some.map(endpointArb))));
}

function serviceArb(n: number): fc.Arbitrary<Service> {
  return fc
    .record({
      affinitySeconds: fc.constantFrom(0, 600),
      internalTrafficPolicy: policyArb,
      externalTrafficPolicy: policyArb,
      externalIPs: fc.subarray([`198.51.100.${50 + n}`, `2001:db8::5${n}`]),
      loadBalancerIPs: fc.subarray([`203.0.113.${50 + n}`, `2001:db8:1::5${n}`]),
      sourceRanges: fc.subarray(['192.168.88.0/24', '10.0.0.0/8', 'fd88::/64']),
      healthCheckNodePort: fc.constantFrom(0, 32050 + n),
      nodePort: fc.constantFrom(0, 31050 + n),
    })
    .map(({ nodePort, ...fields }) =>
      makeService({
        name: `own-${n}`,
        clusterIPs: { IPv4: `10.96.5.${n}`, IPv6: `fd96::5:${n}` },
        ports: ports.map((port) => ({ ...port, nodePort })),
        ...fields,
      }),
    );
}

/** Objects for `own-n`; its slices may be empty, and then it is refused. */
function objectsArb(n: number): fc.Arbitrary<ClusterChange[]> {
  const slicesOf = { serviceName: `own-${n}`, ports: ports.map((port) => ({ ...port, port: 8000 + port.port })) };
  return fc
    .tuple(
      serviceArb(n),
      endpointsArb(['10.0.0.1', '10.0.0.2', '10.0.0.3', '9.0.0.1']),
      endpointsArb(['fd00::1', 'fd00::2', 'fd00::3', 'fd00:1::1']),
    )
    .map(([service, v4, v6]) =>
      [
        service,
        makeSlice(v4, { ...slicesOf, name: `own-${n}-4` }),
        makeSlice(v6, { ...slicesOf, name: `own-${n}-6`, family: 'IPv6' }),
      ].map((object) => ({ op: 'set', object })),
    );
}

/** One batch: three Services, all of whose objects are told anew. */
export const ownServicesArb: fc.Arbitrary<ClusterChange[]> = fc
  .tuple(objectsArb(0), objectsArb(1), objectsArb(2))
  .map((objects) => objects.flat());
