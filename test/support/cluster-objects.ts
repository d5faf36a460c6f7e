/** Objects of the model for tests. A test gives the fields that matter to it; the others have the simplest values. */
import type { EndpointSlice, Node, Service, ServicePort, SliceEndpoint } from '../../src/model/cluster';

export const webPort: ServicePort = { name: '', protocol: 'TCP', port: 80, nodePort: 0 };

/** A ClusterIP Service `default/web`, 10.96.0.10:80. */
export function makeService(fields: Partial<Service> = {}): Service {
  return {
    kind: 'Service',
    namespace: 'default',
    name: 'web',
    clusterIPs: { IPv4: '10.96.0.10' },
    ports: [webPort],
    affinitySeconds: 0,
    internalTrafficPolicy: 'Cluster',
    externalTrafficPolicy: 'Cluster',
    externalIPs: [],
    loadBalancerIPs: [],
    sourceRanges: [],
    healthCheckNodePort: 0,
    ...fields,
  };
}

/** A ready endpoint on an unknown node. */
export function makeEndpoint(address: string, fields: Partial<SliceEndpoint> = {}): SliceEndpoint {
  return {
    address,
    ready: true,
    serving: true,
    terminating: false,
    nodeName: '',
    zone: '',
    zoneHints: [],
    nodeHints: [],
    target: '',
    ...fields,
  };
}

/** A slice of `default/web` with the unnamed port 8080. */
export function makeSlice(endpoints: readonly SliceEndpoint[], fields: Partial<EndpointSlice> = {}): EndpointSlice {
  return {
    kind: 'EndpointSlice',
    source: 'EndpointSlice',
    namespace: 'default',
    name: 'web-1',
    serviceName: 'web',
    family: 'IPv4',
    ports: [{ name: '', protocol: 'TCP', port: 8080 }],
    endpoints,
    ...fields,
  };
}

export function makeNode(fields: Partial<Node> = {}): Node {
  return { kind: 'Node', name: 'node', addresses: [], zone: '', podCIDRs: [], leaving: false, ...fields };
}
