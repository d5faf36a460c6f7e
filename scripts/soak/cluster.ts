/** The cluster of a soak: every kind of frontend, under policy Cluster and Local, with and without source ranges. */
import { type ClusterObject } from '../../test/conformance/scenario';
import { service, slice } from '../../test/conformance/objects';

/** The node's addresses on its two uplinks. */
export const nodeAddresses = ['192.168.88.10', '192.168.89.10'] as const;
export const endpointPort = 8080;

/** The numbers of the clients outside, which have the addresses `172.31.N.2`. */
export const clients = [1, 2, 3, 4] as const;
export const clientAddress = (n: number): string => `172.31.${n}.2`;

interface Kind {
  readonly policy: 'Cluster' | 'Local';
  readonly hasRanges: boolean;
}
const kinds: readonly Kind[] = (['Cluster', 'Local'] as const).flatMap((policy) =>
  [false, true].map((hasRanges) => ({ policy, hasRanges })),
);

export interface SoakedFrontend {
  readonly name: string;
  readonly to: string;
  readonly port: number;
}

/** All frontends, in the order in which tables show them. The n-th kind has the n-th address of each network. */
export const frontends: readonly SoakedFrontend[] = kinds.flatMap(({ policy, hasRanges }, n) => {
  const name = (kind: string): string => `${kind} ${policy}${hasRanges ? ', ranges' : ''}`;
  const ofLoadBalancer = { name: name('LoadBalancer'), to: `203.0.113.${n + 1}`, port: 80 };
  // Source ranges apply only to load-balancer IPs.
  if (hasRanges) return [ofLoadBalancer];
  return [
    { name: name('ClusterIP'), to: `10.96.0.${n + 11}`, port: 80 },
    { name: name('NodePort'), to: nodeAddresses[n % nodeAddresses.length] ?? '', port: 30081 + n },
    { name: name('ExternalIP'), to: `198.51.100.${n + 1}`, port: 80 },
    ofLoadBalancer,
  ];
});

export const clusterObjects: readonly ClusterObject[] = [
  node('node', [...nodeAddresses], '10.244.1.0/24'),
  node('node2', ['192.168.90.11'], '10.244.2.0/24'),
  ...kinds.flatMap(({ policy, hasRanges }, n) => {
    const owner = `soaked-${n}`;
    return [
      service({
        name: owner,
        type: 'LoadBalancer',
        clusterIPs: [`10.96.0.${n + 11}`],
        ports: [{ port: 80, targetPort: endpointPort, nodePort: 30081 + n }],
        ingress: [{ ip: `203.0.113.${n + 1}` }],
        spec: {
          externalTrafficPolicy: policy,
          internalTrafficPolicy: policy,
          externalIPs: [`198.51.100.${n + 1}`],
          ...(hasRanges && { loadBalancerSourceRanges: ['172.31.0.0/16'] }),
          ...(policy === 'Local' && { healthCheckNodePort: 32081 + n }),
        },
      }),
      slice(['a', 'b', 'd'], { service: owner }),
    ];
  }),
];

function node(name: string, internal: readonly string[], podCIDR: string): ClusterObject {
  const object = {
    kind: 'Node',
    apiVersion: 'v1',
    metadata: { name, labels: { 'kubernetes.io/hostname': name } },
    spec: { podCIDR, podCIDRs: [podCIDR] },
    status: { addresses: internal.map((address) => ({ type: 'InternalIP', address })) },
  };
  return object;
}
