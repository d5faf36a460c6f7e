/** The cluster as small immutable values: only what a service proxy or its explanations need. */
import type { Family } from './address';
import type { Protocol } from './protocol';
import type { Scheduler } from './scheduler';

export type TrafficPolicy = 'Cluster' | 'Local';

declare const serviceKeyBrand: unique symbol;
/** `namespace/name`. */
export type ServiceKey = string & { readonly [serviceKeyBrand]: true };

export function serviceKey(namespace: string, name: string): ServiceKey {
  // The brand exists in the type system alone, so the only way to make one is a cast.
  return `${namespace}/${name}` as ServiceKey;
}

export interface ServicePort {
  /** '' for an unnamed port. */
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** 0: none. */
  readonly nodePort: number;
}

/** Why a Service is not proxied at all. It is kept in the store so that explanations can give this reason. */
export type NotProxied = 'headless' | 'ExternalName' | 'no cluster IP' | 'another proxy';

/** Gives a weight to some endpoints of a Service. */
export interface WeightRule {
  /** What `value` is compared with: the endpoint's address, the beginning of its pod's name, its node or its zone. */
  readonly kind: 'address' | 'pod' | 'node' | 'zone';
  readonly value: string;
  /** 0 to 65535. */
  readonly weight: number;
}

export interface Service {
  readonly kind: 'Service';
  readonly namespace: string;
  readonly name: string;
  readonly notProxied?: NotProxied;
  /** Canonical. A family without a cluster IP has no entry. */
  readonly clusterIPs: Readonly<Partial<Record<Family, string>>>;
  readonly ports: readonly ServicePort[];
  /** Seconds of sessionAffinity ClientIP; 0: none. */
  readonly affinitySeconds: number;
  readonly internalTrafficPolicy: TrafficPolicy;
  /** Local only if the Service's type allows it, as externalPolicyLocal in kube-proxy decides. */
  readonly externalTrafficPolicy: TrafficPolicy;
  /** Canonical, both families. */
  readonly externalIPs: readonly string[];
  /** status.loadBalancer.ingress[].ip with ipMode VIP; canonical, both families. */
  readonly loadBalancerIPs: readonly string[];
  /** Canonical CIDRs, both families. An empty list lets everyone in. The ranges of a family that has a /0 are left out. */
  readonly sourceRanges: readonly string[];
  /** 0: none. */
  readonly healthCheckNodePort: number;
  /** The scheduler that the Service's annotation asks for. */
  readonly scheduler?: Scheduler;
  /** The first rule that fits an endpoint counts. An endpoint that no rule fits has the weight 1. */
  readonly weights?: readonly WeightRule[];
}

export interface SlicePort {
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
}

export interface SliceEndpoint {
  /** The first of the endpoint's addresses, canonical. */
  readonly address: string;
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  /** '' if unknown. */
  readonly nodeName: string;
  readonly zone: string;
  /** Empty: no hints. */
  readonly zoneHints: readonly string[];
  readonly nodeHints: readonly string[];
  /** `Kind/name` of the targetRef (in the slice's namespace), '' if there is no targetRef. */
  readonly target: string;
}

export interface EndpointSlice {
  readonly kind: 'EndpointSlice';
  /** The kind of object that it was decoded from. An Endpoints object serves only if its Service has no EndpointSlice. */
  readonly source: 'EndpointSlice' | 'Endpoints';
  readonly namespace: string;
  readonly name: string;
  readonly serviceName: string;
  readonly family: Family;
  readonly ports: readonly SlicePort[];
  readonly endpoints: readonly SliceEndpoint[];
  /** endpoints.kubernetes.io/last-change-trigger-time, milliseconds since the epoch. */
  readonly lastChangeTriggerMs?: number;
}

export interface Node {
  readonly kind: 'Node';
  readonly name: string;
  /** InternalIPs, then ExternalIPs, in status order, canonical. */
  readonly addresses: readonly string[];
  /** topology.kubernetes.io/zone, '' if the label is missing. */
  readonly zone: string;
  readonly podCIDRs: readonly string[];
  /** It has a deletionTimestamp or the taint ToBeDeletedByClusterAutoscaler: load balancers should send nothing new here. */
  readonly leaving: boolean;
}

/** A range from which the cluster takes the cluster IPs of Services. */
export interface ServiceCIDR {
  readonly kind: 'ServiceCIDR';
  readonly name: string;
  /** Canonical, at most one per family. */
  readonly cidrs: readonly string[];
}

/** One decoded object that was added, changed or deleted. A source passes them on in the order in which it learned of them. */
export type ClusterChange =
  | { readonly op: 'set'; readonly object: Service | EndpointSlice | Node | ServiceCIDR }
  | {
      readonly op: 'delete';
      readonly kind: 'Service' | 'Node' | 'ServiceCIDR';
      readonly namespace: string;
      readonly name: string;
    }
  | {
      readonly op: 'delete';
      readonly kind: 'EndpointSlice';
      readonly source: EndpointSlice['source'];
      readonly namespace: string;
      /** An Endpoints object becomes one slice per subset and family. Its name deletes all of them. */
      readonly name: string;
    };

/** What is wrong with one object. It does not affect the rest of the cluster. */
export interface ClusterWarning {
  /** `Service shop/cart`. */
  readonly object: string;
  /** Stable, for metrics: e.g. `bad-port`, `bad-address`, `no-service-name`. */
  readonly kind: string;
  readonly message: string;
}

export interface ClusterState {
  readonly services: ReadonlyMap<ServiceKey, Service>;
  /** The slices that serve a Service: its EndpointSlices, or, if it has none, those made of its Endpoints object. */
  slicesOf(key: ServiceKey): readonly EndpointSlice[];
  readonly nodes: ReadonlyMap<string, Node>;
}
