import type { ClusterChange, ClusterWarning, EndpointSlice, Node, Service } from '../../model/cluster';

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

/** The pure decoders, one for each kind. undefined: the object cannot be used, which was warned about. */
export interface Decoders {
  service(object: unknown, warn: Warn): Service | undefined;
  endpointSlice(object: unknown, warn: Warn): EndpointSlice | undefined;
  endpoints(object: unknown, warn: Warn): readonly EndpointSlice[] | undefined;
  node(object: unknown, warn: Warn): Node | undefined;
}

function setOf(object: Service | EndpointSlice | Node | undefined): readonly ClusterChange[] | undefined {
  return object === undefined ? undefined : [{ op: 'set', object }];
}

/** The selectors are kube-proxy's 1.36: what it does not proxy is not sent. */
export function serviceResource(decoders: Decoders): Resource {
  return {
    name: 'services',
    kind: 'Service',
    path: '/api/v1/services',
    labelSelector: '!service.kubernetes.io/service-proxy-name',
    fieldSelector: 'spec.clusterIP!=None',
    worksWithoutFieldSelector: true,
    decode: (object, warn) => setOf(decoders.service(object, warn)),
    deletion: (namespace, name) => ({ op: 'delete', kind: 'Service', namespace, name }),
  };
}

export function endpointSliceResource(decoders: Decoders): Resource {
  return {
    name: 'endpointslices',
    kind: 'EndpointSlice',
    path: '/apis/discovery.k8s.io/v1/endpointslices',
    labelSelector: '!service.kubernetes.io/headless',
    decode: (object, warn) => setOf(decoders.endpointSlice(object, warn)),
    deletion: (namespace, name) => ({ op: 'delete', kind: 'EndpointSlice', source: 'EndpointSlice', namespace, name }),
  };
}

/** In the place of slices, where the API server has none. */
export function endpointsResource(decoders: Decoders): Resource {
  const deletion: Resource['deletion'] = (namespace, name) => {
    return { op: 'delete', kind: 'EndpointSlice', source: 'Endpoints', namespace, name };
  };
  return {
    name: 'endpoints',
    kind: 'Endpoints',
    path: '/api/v1/endpoints',
    labelSelector: '!service.kubernetes.io/headless',
    decode: (object, warn) => {
      const slices = decoders.endpoints(object, warn);
      if (slices === undefined) return undefined;
      // A subset that is gone would stay: the object is told anew, in one batch.
      const { namespace = '', name = '' } =
        (object as { metadata?: { namespace?: string; name?: string } }).metadata ?? {};
      return [deletion(namespace, name), ...slices.map((slice) => ({ op: 'set', object: slice }) as const)];
    },
    deletion,
  };
}

/** The one node that this is. */
export function nodeResource(decoders: Decoders, nodeName: string): Resource {
  return {
    name: 'nodes',
    kind: 'Node',
    path: '/api/v1/nodes',
    fieldSelector: `metadata.name=${nodeName}`,
    decode: (object, warn) => setOf(decoders.node(object, warn)),
    deletion: (_namespace, name) => ({ op: 'delete', kind: 'Node', namespace: '', name }),
  };
}
