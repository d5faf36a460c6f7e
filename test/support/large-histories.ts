/** Random histories of clusters whose Services have many ports, endpoints and ways in. A round changes a few of them, or most. */
import fc from 'fast-check';
import type { ClusterChange, EndpointSlice, Service, ServicePort } from '../../src/model/cluster';
import { makeEndpoint, makeService, makeSlice } from './cluster-objects';

/** What is random about one state of a Service. */
interface Draft {
  readonly ports: number;
  readonly endpoints: number;
  readonly notReady: boolean;
  readonly nodePorts: boolean;
  readonly externalIPs: readonly string[];
  readonly loadBalancerIPs: readonly string[];
  readonly sourceRanges: readonly string[];
  readonly isLocal: boolean;
  readonly affinitySeconds: number;
  readonly isSctp: boolean;
}

const draftArb: fc.Arbitrary<Draft> = fc.record({
  ports: fc.oneof(fc.constant(1), fc.constant(1), fc.integer({ min: 2, max: 30 })),
  endpoints: fc.oneof({ weight: 6, arbitrary: fc.nat(4) }, { weight: 1, arbitrary: fc.constant(140) }),
  notReady: fc.boolean(),
  nodePorts: fc.boolean(),
  // Several Services claim some of these.
  externalIPs: fc.subarray(['198.51.100.1', '198.51.100.2', '2001:db8::1']),
  loadBalancerIPs: fc.subarray(['203.0.113.1', '198.51.100.2', '2001:db8:1::1']),
  sourceRanges: fc.oneof(fc.constant([]), fc.subarray(['192.168.88.0/24', '10.0.0.0/8', '192.0.2.7/32', 'fd88::/64'])),
  isLocal: fc.boolean(),
  affinitySeconds: fc.constantFrom(0, 0, 0, 600),
  isSctp: fc.boolean(),
});

function portsOf({ ports, nodePorts, isSctp }: Draft, n: number): ServicePort[] {
  return Array.from({ length: ports }, (_, i) => ({
    name: ports === 1 ? '' : `p${i}`,
    protocol: isSctp && i === 0 ? 'SCTP' : i % 3 === 2 ? 'UDP' : 'TCP',
    // Some are far apart and some are close to each other.
    port: i % 2 === 0 ? 80 + i : 1000 + ((i * 7919 + n * 104_729) % 60_000),
    nodePort: nodePorts ? 30_000 + n * 32 + i : 0,
  }));
}

function serviceOf(draft: Draft, n: number): Service {
  const isExternal = draft.nodePorts || draft.loadBalancerIPs.length > 0;
  return makeService({
    name: `s${n}`,
    clusterIPs: { IPv4: `10.96.0.${n + 1}`, IPv6: `fd96::${(n + 1).toString(16)}` },
    ports: portsOf(draft, n),
    affinitySeconds: draft.affinitySeconds,
    externalTrafficPolicy: draft.isLocal && isExternal ? 'Local' : 'Cluster',
    externalIPs: draft.externalIPs,
    loadBalancerIPs: draft.loadBalancerIPs,
    sourceRanges: draft.sourceRanges,
    healthCheckNodePort: draft.isLocal && draft.loadBalancerIPs.length > 0 ? 32_000 + n : 0,
  });
}

function slicesOf(draft: Draft, n: number): EndpointSlice[] {
  const ports = portsOf(draft, n).map(({ name, protocol }, i) => ({ name, protocol, port: 8000 + i }));
  return (['IPv4', 'IPv6'] as const).map((family) => {
    const address = (i: number): string =>
      family === 'IPv4' ? `10.244.${n}.${i + 1}` : `fd44::${(n + 1).toString(16)}:${(i + 1).toString(16)}`;
    const endpoints = Array.from({ length: draft.endpoints }, (_, i) =>
      makeEndpoint(address(i), { ready: i > 0 || !draft.notReady, nodeName: i % 3 === 0 ? 'node' : 'other' }),
    );
    return makeSlice(endpoints, { name: `s${n}-${family}`, serviceName: `s${n}`, family, ports });
  });
}

function changesTo(draft: Draft | undefined, n: number): ClusterChange[] {
  const namespace = 'default';
  if (draft !== undefined)
    return [serviceOf(draft, n), ...slicesOf(draft, n)].map((object) => ({ op: 'set', object }) as const);
  return [
    { op: 'delete', kind: 'Service', namespace, name: `s${n}` },
    ...(['IPv4', 'IPv6'] as const).map(
      (family) =>
        ({ op: 'delete', kind: 'EndpointSlice', source: 'EndpointSlice', namespace, name: `s${n}-${family}` }) as const,
    ),
  ];
}

const mostServices = 40;

/** The changes of each round. */
export const largeHistoryArb: fc.Arbitrary<ClusterChange[][]> = fc
  .integer({ min: 6, max: mostServices })
  .chain((count) => {
    const all = Array.from({ length: count }, (_, n) => n);
    const who = fc.oneof(
      fc.subarray(all, { maxLength: 3 }),
      fc.subarray(all, { minLength: Math.floor(count / 2) }),
      fc.subarray(all),
    );
    const round = who.chain((services) =>
      fc
        .tuple(...services.map(() => fc.option(draftArb, { freq: 3, nil: undefined })))
        .map((drafts) => drafts.flatMap((draft, i) => changesTo(draft, services[i] ?? 0))),
    );
    return fc.array(round, { minLength: 1, maxLength: 6 });
  });
