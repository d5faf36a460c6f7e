/** Kubernetes objects of the lab's cluster. Fields that are not given are as the API server fills them in. */
import { addresses, type Place, podsOf } from '../support/lab/topology';
import type { ClusterObject } from './scenario';

export interface Port {
  readonly name?: string;
  readonly port: number;
  readonly targetPort?: number;
  readonly protocol?: 'TCP' | 'UDP' | 'SCTP';
  readonly nodePort?: number;
}

export interface ServiceFields {
  readonly name?: string;
  readonly namespace?: string;
  readonly type?: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
  /** One per family. */
  readonly clusterIPs?: readonly string[];
  readonly ports?: readonly Port[];
  /** status.loadBalancer.ingress */
  readonly ingress?: readonly { readonly ip: string; readonly ipMode?: 'VIP' | 'Proxy' }[];
  /** Other fields of the spec. */
  readonly spec?: Readonly<Record<string, unknown>>;
}

/** default/web, 10.96.0.10:80 to 8080 of its pods. */
export function service(fields: ServiceFields = {}): ClusterObject {
  const { name = 'web', namespace = 'default', type = 'ClusterIP', clusterIPs = ['10.96.0.10'] } = fields;
  const spec = {
    type,
    clusterIP: clusterIPs[0],
    clusterIPs,
    ipFamilies: clusterIPs.map((ip) => (ip.includes(':') ? 'IPv6' : 'IPv4')),
    ipFamilyPolicy: clusterIPs.length > 1 ? 'RequireDualStack' : 'SingleStack',
    ports: (fields.ports ?? [{ port: 80, targetPort: 8080 }]).map((port) => ({ protocol: 'TCP', ...port })),
    internalTrafficPolicy: 'Cluster',
    ...(type === 'ClusterIP' ? {} : { externalTrafficPolicy: 'Cluster' }),
    sessionAffinity: 'None',
    ...fields.spec,
  };
  const status = { loadBalancer: fields.ingress === undefined ? {} : { ingress: fields.ingress } };
  return { kind: 'Service', apiVersion: 'v1', metadata: { name, namespace }, spec, status } as ClusterObject;
}

export interface EndpointFields {
  readonly ready?: boolean;
  readonly serving?: boolean;
  readonly terminating?: boolean;
  readonly zones?: readonly string[];
  readonly nodes?: readonly string[];
  /** Instead of the pod's own address. */
  readonly address?: string;
}

/** An endpoint by its pod, or by pod and what is special about it. */
export type Endpoint = Place | readonly [Place, EndpointFields];

export interface SliceFields {
  readonly service?: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly family?: 'IPv4' | 'IPv6';
  readonly ports?: readonly { readonly name?: string; readonly port: number; readonly protocol?: Port['protocol'] }[];
  readonly labels?: Readonly<Record<string, string>>;
}

function nodeOf(place: Place): string | undefined {
  if (place === 'node' || place === 'node2') return place;
  if ((podsOf.node as readonly Place[]).includes(place)) return 'node';
  return (podsOf.node2 as readonly Place[]).includes(place) ? 'node2' : undefined;
}

function sliceEndpoint(endpoint: Endpoint, family: 'IPv4' | 'IPv6'): Record<string, unknown> {
  const [place, fields]: readonly [Place, EndpointFields] = typeof endpoint === 'string' ? [endpoint, {}] : endpoint;
  const { zones, nodes, address, ...conditions } = fields;
  const hints = {
    ...(zones && { forZones: zones.map((name) => ({ name })) }),
    ...(nodes && { forNodes: nodes.map((name) => ({ name })) }),
  };
  const nodeName = nodeOf(place);
  return {
    addresses: [address ?? addresses[place][family]],
    conditions: Object.keys(conditions).length === 0 ? { ready: true, serving: true, terminating: false } : conditions,
    ...(nodeName === undefined ? {} : { nodeName, zone: nodeName === 'node' ? 'z1' : 'z2' }),
    ...(zones || nodes ? { hints } : {}),
    targetRef: { kind: 'Pod', namespace: 'default', name: place },
  };
}

/** By default the first slice of default/web: IPv4, port 8080 without a name. An endpoint without conditions is ready. */
export function slice(endpoints: readonly Endpoint[], fields: SliceFields = {}): ClusterObject {
  const { service: owner = 'web', namespace = 'default', family = 'IPv4', ports = [{ port: 8080 }] } = fields;
  return {
    kind: 'EndpointSlice',
    apiVersion: 'discovery.k8s.io/v1',
    metadata: {
      name: fields.name ?? `${owner}-${family.toLowerCase()}`,
      namespace,
      labels: {
        'kubernetes.io/service-name': owner,
        'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
        ...fields.labels,
      },
    },
    addressType: family,
    endpoints: endpoints.map((endpoint) => sliceEndpoint(endpoint, family)),
    ports: ports.map((port) => ({ name: '', protocol: 'TCP', ...port })),
  } as ClusterObject;
}

/** The two nodes, z1 and z2, that every scenario's cluster has. */
export const nodes: readonly ClusterObject[] = (
  [
    ['node', 'z1', '10.244.1.0/24', 'fd44:1::/64'],
    ['node2', 'z2', '10.244.2.0/24', 'fd44:2::/64'],
  ] as const
).map(([name, zone, ...podCIDRs]) => {
  const labels = { 'kubernetes.io/hostname': name, 'topology.kubernetes.io/zone': zone };
  const internal = [addresses[name].IPv4, addresses[name].IPv6].map((address) => ({ type: 'InternalIP', address }));
  return {
    kind: 'Node',
    apiVersion: 'v1',
    metadata: { name, labels },
    spec: { podCIDR: podCIDRs[0], podCIDRs },
    status: { addresses: [...internal, { type: 'Hostname', address: name }] },
  };
});
