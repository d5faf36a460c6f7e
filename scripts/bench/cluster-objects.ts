/** Kubernetes objects as controllers write them, with managedFields, owners, labels and targetRefs. A slice of ten endpoints has 5 KB. */
import { createHash } from 'node:crypto';
import type { FakeObject } from '../../test/support/fake-api-store';
import { clusterIP, loadBalancerIP, movingIP, nodeAddress, nodePort, otherPod, realPods } from './addresses';

export interface ClusterSpec {
  /** Which node's addresses the cluster uses. The clusters of the two nodes do not overlap. */
  readonly network: 1 | 2;
  readonly services: number;
  /** Endpoints per Service. */
  readonly endpoints: number;
  /** So many of the first Services also have a node port and a load balancer. */
  readonly loadBalancers?: number;
  /** So many of the last Services are UDP and have no endpoints. */
  readonly empty?: number;
  /** The number of endpoints of one further Service, in slices of a hundred. */
  readonly bigService?: number;
  /** Whether all endpoints are real pods. */
  readonly allReal?: boolean;
}

export const podPort = 8080;
const namespace = 'shop';
const createdAt = '2026-01-15T09:30:00Z';

function uid(text: string): string {
  const digits = createHash('md5').update(text).digest('hex');
  return [8, 12, 16, 20, 32].map((end, i, ends) => digits.slice(ends[i - 1] ?? 0, end)).join('-');
}

function labelsOf(app: string): Record<string, string> {
  return {
    app,
    'app.kubernetes.io/component': 'server',
    'app.kubernetes.io/instance': `${app}-production`,
    'app.kubernetes.io/managed-by': 'Helm',
    'app.kubernetes.io/name': app,
    'app.kubernetes.io/part-of': 'storefront',
    'app.kubernetes.io/version': '4.11.2',
    'helm.sh/chart': `${app}-4.11.2`,
    'topology.example.com/tier': 'backend',
  };
}

function managedField(manager: string, apiVersion: string, fieldsV1: object, subresource?: string): object {
  return {
    manager,
    operation: 'Update',
    apiVersion,
    time: createdAt,
    fieldsType: 'FieldsV1',
    fieldsV1,
    ...(subresource === undefined ? {} : { subresource }),
  };
}

const fieldsOfKeys = (keys: readonly string[]): object =>
  Object.fromEntries([['.', {}], ...keys.map((key) => [`f:${key}`, {}] as const)]);

interface ServiceTraits {
  readonly name: string;
  readonly address: string;
  readonly nodePort?: number;
  readonly loadBalancer?: string;
  readonly protocol?: 'TCP' | 'UDP';
}

function makeService({ name, address, nodePort, loadBalancer, protocol = 'TCP' }: ServiceTraits): FakeObject {
  const labels = labelsOf(name);
  const external = nodePort !== undefined && loadBalancer !== undefined;
  const annotations = { 'meta.helm.sh/release-name': name, 'meta.helm.sh/release-namespace': namespace };
  return {
    kind: 'Service',
    apiVersion: 'v1',
    metadata: {
      name,
      namespace,
      uid: uid(`service ${name}`),
      creationTimestamp: createdAt,
      labels,
      annotations,
      managedFields: [
        managedField('helm', 'v1', {
          'f:metadata': {
            'f:annotations': fieldsOfKeys(Object.keys(annotations)),
            'f:labels': fieldsOfKeys(Object.keys(labels)),
          },
          'f:spec': {
            'f:internalTrafficPolicy': {},
            'f:ports': {
              '.': {},
              [`k:{"port":80,"protocol":"${protocol}"}`]: fieldsOfKeys(['name', 'port', 'protocol', 'targetPort']),
            },
            'f:selector': {},
            'f:sessionAffinity': {},
            'f:type': {},
          },
        }),
      ],
    },
    spec: {
      ports: [{ name: 'http', protocol, port: 80, targetPort: 'http', ...(external ? { nodePort } : {}) }],
      selector: { app: name, 'app.kubernetes.io/instance': `${name}-production` },
      clusterIP: address,
      clusterIPs: [address],
      type: external ? 'LoadBalancer' : 'ClusterIP',
      sessionAffinity: 'None',
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      internalTrafficPolicy: 'Cluster',
      ...(external ? { externalTrafficPolicy: 'Cluster', allocateLoadBalancerNodePorts: true } : {}),
    },
    status: { loadBalancer: external ? { ingress: [{ ip: loadBalancer, ipMode: 'VIP' }] } : {} },
  };
}

function makeEndpoint(service: string, address: string): object {
  const id = uid(`${service} ${address}`);
  const node = isReal(address) ? 'node' : `node-${Number.parseInt(id.slice(0, 2), 16)}`;
  const zone = `eu-central-1${'abc'.charAt(Number.parseInt(id.slice(0, 2), 16) % 3)}`;
  return {
    addresses: [address],
    conditions: { ready: true, serving: true, terminating: false },
    hints: {},
    targetRef: { kind: 'Pod', namespace, name: `${service}-7d9c6b5f48-${id.slice(0, 5)}`, uid: id },
    nodeName: node,
    zone,
  };
}

const isReal = (address: string): boolean => address.startsWith('10.255.');

/** @param part is the number of the slice, if the Service has several. */
export function makeSlice(service: string, addresses: readonly string[], part = 0): FakeObject {
  const name = `${service}-${uid(`slice ${service} ${part}`).slice(0, 5)}`;
  const labels = {
    ...labelsOf(service),
    'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
    'kubernetes.io/service-name': service,
  };
  const owner = { apiVersion: 'v1', kind: 'Service', name: service, uid: uid(`service ${service}`) };
  return {
    kind: 'EndpointSlice',
    apiVersion: 'discovery.k8s.io/v1',
    metadata: {
      name,
      generateName: `${service}-`,
      namespace,
      uid: uid(`slice ${name}`),
      generation: 4,
      creationTimestamp: createdAt,
      labels,
      annotations: { 'endpoints.kubernetes.io/last-change-trigger-time': new Date().toISOString() },
      ownerReferences: [{ ...owner, controller: true, blockOwnerDeletion: true }],
      managedFields: [
        managedField('kube-controller-manager', 'discovery.k8s.io/v1', {
          'f:addressType': {},
          'f:endpoints': {},
          'f:metadata': {
            'f:annotations': fieldsOfKeys(['endpoints.kubernetes.io/last-change-trigger-time']),
            'f:generateName': {},
            'f:labels': fieldsOfKeys(Object.keys(labels)),
            'f:ownerReferences': { '.': {}, [`k:{"uid":"${owner.uid}"}`]: {} },
          },
          'f:ports': {},
        }),
      ],
    },
    addressType: 'IPv4',
    endpoints: addresses.map((address) => makeEndpoint(service, address)),
    ports: [{ name: 'http', protocol: 'TCP', port: podPort }],
  };
}

function makeNode(network: 1 | 2): FakeObject {
  return {
    kind: 'Node',
    apiVersion: 'v1',
    metadata: { name: 'node', uid: uid('node'), labels: { 'topology.kubernetes.io/zone': 'eu-central-1a' } },
    spec: { podCIDR: `10.255.${network}.0/24`, podCIDRs: [`10.255.${network}.0/24`] },
    status: { addresses: [{ type: 'InternalIP', address: nodeAddress(network) }] },
  };
}

export const serviceName = (i: number): string => `cart-${String(i).padStart(5, '0')}`;
export const movingService = 'moving';
const bigService = 'big';

/** Returns the addresses of a Service's endpoints. `turn` is how often the first one has been replaced. */
export function endpointsOf(spec: ClusterSpec, service: number, turn = 0): string[] {
  if (spec.allReal === true) return [realPods(spec.network)[0]];
  const first = service * spec.endpoints;
  const at = (n: number): string =>
    otherPod(n === first && turn > 0 ? spec.services * spec.endpoints + service * 64 + (turn % 64) : n);
  return Array.from({ length: spec.endpoints }, (_, n) => at(first + n)).sort();
}

/** Returns the Services whose slices change in a burst, spread over the whole cluster. */
export function burstServices(spec: ClusterSpec, count: number): number[] {
  return Array.from({ length: count }, (_, i) => Math.floor((i * spec.services) / count));
}

const slicesOfBig = 100;

/** Returns the slices of the big Service. `turn` is how often the first endpoint of the first slice has been replaced. */
export function bigSlices(count: number, turn = 0): FakeObject[] {
  const address = (n: number): string => otherPod(3_000_000 + (n === 0 ? 10_000 + turn : n));
  return Array.from({ length: Math.ceil(count / slicesOfBig) }, (_, part) => {
    const from = part * slicesOfBig;
    const length = Math.min(slicesOfBig, count - from);
    return makeSlice(
      bigService,
      Array.from({ length }, (_, n) => address(from + n)),
      part,
    );
  });
}

/** Makes all objects, in the state before any change. */
export function* makeCluster(spec: ClusterSpec): Generator<FakeObject> {
  const { network, services, loadBalancers = 0, empty = 0 } = spec;
  yield makeNode(network);
  for (let i = 0; i < services; i++) {
    const name = serviceName(i);
    const external = i < loadBalancers ? { nodePort: nodePort(i), loadBalancer: loadBalancerIP(network, i) } : {};
    const isEmpty = i >= services - empty;
    yield makeService({ name, address: clusterIP(network, i), protocol: isEmpty ? 'UDP' : 'TCP', ...external });
    if (!isEmpty) yield makeSlice(name, endpointsOf(spec, i));
  }
  yield makeService({ name: movingService, address: movingIP(network) });
  yield makeSlice(movingService, [realPods(network)[0]]);
  if (spec.bigService === undefined) return;
  yield makeService({ name: bigService, address: clusterIP(network, services) });
  yield* bigSlices(spec.bigService);
}
