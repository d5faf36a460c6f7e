import type { ClusterChange, ClusterWarning, EndpointSlice, Node, Service, ServiceCIDR } from '../../model/cluster';
import { decodeEndpointSlice } from './decode-endpoint-slice';
import { decodeEndpoints } from './decode-endpoints';
import { decodeNode } from './decode-node';
import { decodeService } from './decode-service';
import { decodeServiceCIDR } from './decode-service-cidr';
import { decodeMeta } from './watch-event';

type Warn = (warning: ClusterWarning) => void;

/** One kind of object that is watched: its path, which objects are selected, and how they are decoded. */
export interface Resource {
  /** Plural, as in the API's path. */
  readonly name: 'services' | 'endpointslices' | 'endpoints' | 'nodes' | 'servicecidrs';
  readonly kind: 'Service' | 'EndpointSlice' | 'Endpoints' | 'Node' | 'ServiceCIDR';
  readonly path: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** The field selector only saves work, and is dropped when the server does not know the field (400). */
  readonly worksWithoutFieldSelector?: boolean;
  /** Decodes an object. Returns undefined when it has no usable contents, after a warning if that is a fault. */
  decode(object: unknown, warn: Warn): readonly ClusterChange[] | undefined;
  deletion(namespace: string, name: string): ClusterChange;
}

function setOf(object: Service | EndpointSlice | Node | ServiceCIDR | undefined): readonly ClusterChange[] | undefined {
  return object === undefined ? undefined : [{ op: 'set', object }];
}

/** The selectors are those of kube-proxy 1.36, so that the server does not send Services that are not proxied. */
export const services: Resource = {
  name: 'services',
  kind: 'Service',
  path: '/api/v1/services',
  labelSelector: '!service.kubernetes.io/service-proxy-name',
  fieldSelector: 'spec.clusterIP!=None',
  worksWithoutFieldSelector: true,
  decode: (object, warn) => setOf(decodeService(object, warn)),
  deletion: (namespace, name) => ({ op: 'delete', kind: 'Service', namespace, name }),
};

export const endpointSlices: Resource = {
  name: 'endpointslices',
  kind: 'EndpointSlice',
  path: '/apis/discovery.k8s.io/v1/endpointslices',
  labelSelector: '!service.kubernetes.io/headless',
  decode: (object, warn) => setOf(decodeEndpointSlice(object, warn)),
  deletion: (namespace, name) => ({ op: 'delete', kind: 'EndpointSlice', source: 'EndpointSlice', namespace, name }),
};

function endpointsDeletion(namespace: string, name: string): ClusterChange {
  return { op: 'delete', kind: 'EndpointSlice', source: 'Endpoints', namespace, name };
}

/** Used instead of EndpointSlices when the API server has none. */
export const endpoints: Resource = {
  name: 'endpoints',
  kind: 'Endpoints',
  path: '/api/v1/endpoints',
  labelSelector: '!service.kubernetes.io/headless',
  decode: (object, warn) => {
    const slices = decodeEndpoints(object, warn);
    if (slices === undefined) return undefined;
    // The object's slices are deleted and set in one batch, because otherwise slices of removed subsets would stay.
    const { namespace, name } = decodeMeta(object);
    return [endpointsDeletion(namespace, name), ...slices.map((slice) => ({ op: 'set', object: slice }) as const)];
  },
  deletion: endpointsDeletion,
};

export const serviceCIDRs: Resource = {
  name: 'servicecidrs',
  kind: 'ServiceCIDR',
  path: '/apis/networking.k8s.io/v1/servicecidrs',
  decode: (object, warn) => setOf(decodeServiceCIDR(object, warn)),
  deletion: (_namespace, name) => ({ op: 'delete', kind: 'ServiceCIDR', namespace: '', name }),
};

/** This node's own Node object. */
export function nodeNamed(nodeName: string): Resource {
  return {
    name: 'nodes',
    kind: 'Node',
    path: '/api/v1/nodes',
    fieldSelector: `metadata.name=${nodeName}`,
    decode: (object, warn) => setOf(decodeNode(object, warn)),
    deletion: (_namespace, name) => ({ op: 'delete', kind: 'Node', namespace: '', name }),
  };
}
