import type { ClusterChange, ClusterWarning, EndpointSlice, Node, Service } from '../../model/cluster';
import { decodeEndpointSlice } from './decode-endpoint-slice';
import { decodeEndpoints } from './decode-endpoints';
import { decodeNode } from './decode-node';
import { decodeService } from './decode-service';
import { decodeMeta } from './watch-event';

type Warn = (warning: ClusterWarning) => void;

/** One kind of object that is watched: where it is, which of them, and what they mean. */
export interface Resource {
  /** Plural, as in the API's path. */
  readonly name: 'services' | 'endpointslices' | 'endpoints' | 'nodes';
  readonly kind: 'Service' | 'EndpointSlice' | 'Endpoints' | 'Node';
  readonly path: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** The field selector only saves work: where the server does not know the field (400), it goes. */
  readonly worksWithoutFieldSelector?: boolean;
  /** What an object says; undefined where it says nothing that can be used (after a warning, if that is a fault). */
  decode(object: unknown, warn: Warn): readonly ClusterChange[] | undefined;
  deletion(namespace: string, name: string): ClusterChange;
}

function setOf(object: Service | EndpointSlice | Node | undefined): readonly ClusterChange[] | undefined {
  return object === undefined ? undefined : [{ op: 'set', object }];
}

/** The selectors are kube-proxy's 1.36: what it does not proxy is not sent. */
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

/** In the place of slices, where the API server has none. */
export const endpoints: Resource = {
  name: 'endpoints',
  kind: 'Endpoints',
  path: '/api/v1/endpoints',
  labelSelector: '!service.kubernetes.io/headless',
  decode: (object, warn) => {
    const slices = decodeEndpoints(object, warn);
    if (slices === undefined) return undefined;
    // A subset that is gone would stay: the object is told anew, in one batch.
    const { namespace, name } = decodeMeta(object);
    return [endpointsDeletion(namespace, name), ...slices.map((slice) => ({ op: 'set', object: slice }) as const)];
  },
  deletion: endpointsDeletion,
};

/** The one node that this is. */
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
