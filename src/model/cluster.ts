/** What the cluster says, as small immutable values: only what a service proxy or its explanations need. */
import type { Family } from './address';
import type { Scheduler } from './scheduler';

import type { Protocol } from './protocol';
export type TrafficPolicy = 'Cluster' | 'Local';

declare const serviceKeyBrand: unique symbol;
/** `namespace/name`. */
export type ServiceKey = string & { readonly [serviceKeyBrand]: true };

export function serviceKey(namespace: string, name: string): ServiceKey {
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

/** Why a Service is not proxied at all; it stays in the store so that explanations can say so. */
export type NotProxied = 'headless' | 'ExternalName' | 'no cluster IP' | 'another proxy';

/** Which endpoints of a Service weigh so much. */
export interface WeightRule {
  /** Its address, the beginning of its pod's name, its node or its zone. */
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
  /** Canonical; a family without one has no entry. */
  readonly clusterIPs: Readonly<Partial<Record<Family, string>>>;
  readonly ports: readonly ServicePort[];
  /** Seconds of sessionAffinity ClientIP; 0: none. */
  readonly affinitySeconds: number;
  readonly internalTrafficPolicy: TrafficPolicy;
  /** Local only where the Service's type lets it be (behaviour of externalPolicyLocal in kube-proxy). */
  readonly externalTrafficPolicy: TrafficPolicy;
  /** Canonical, both families. */
  readonly externalIPs: readonly string[];
  /** status.loadBalancer.ingress[].ip with ipMode VIP; canonical, both families. */
  readonly loadBalancerIPs: readonly string[];
  /** Canonical CIDRs, both families; an empty list lets everyone in. A family with a /0 has none left. */
  readonly sourceRanges: readonly string[];
  /** 0: none. */
  readonly healthCheckNodePort: number;
  /** What it asks for by an annotation. */
  readonly scheduler?: Scheduler;
  /** The first that fits an endpoint counts; one that none fits weighs 1. */
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
  /** '' where unknown. */
  readonly nodeName: string;
  readonly zone: string;
  /** Empty: no hints. */
  readonly zoneHints: readonly string[];
  readonly nodeHints: readonly string[];
  /** `Kind/name` of the targetRef (in the slice's namespace), '' without one. */
  readonly target: string;
}

export interface EndpointSlice {
  readonly kind: 'EndpointSlice';
  /** An Endpoints object serves only where its Service has no EndpointSlice. */
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
  /** topology.kubernetes.io/zone, '' without one. */
  readonly zone: string;
  readonly podCIDRs: readonly string[];
  /** deletionTimestamp set, or tainted ToBeDeletedByClusterAutoscaler: load balancers should send nothing new here. */
  readonly leaving: boolean;
}

/** One decoded object coming or going; a source hands them over in the order in which it learned of them. */
export type ClusterChange =
  | { readonly op: 'set'; readonly object: Service | EndpointSlice | Node }
  | { readonly op: 'delete'; readonly kind: 'Service' | 'Node'; readonly namespace: string; readonly name: string }
  | {
      readonly op: 'delete';
      readonly kind: 'EndpointSlice';
      readonly source: EndpointSlice['source'];
      readonly namespace: string;
      readonly name: string;
      /** Endpoints objects become a slice a subset and family: all that came of one object go with its name. */
    };

/** What was wrong with one object: the rest of the cluster goes on. */
export interface ClusterWarning {
  /** `Service shop/cart`. */
  readonly object: string;
  /** Stable, for metrics: e.g. `bad-port`, `bad-address`, `no-service-name`. */
  readonly kind: string;
  readonly message: string;
}

export interface ClusterState {
  readonly services: ReadonlyMap<ServiceKey, Service>;
  /** Slices that serve a Service: its EndpointSlices, or those made of its Endpoints object where it has none. */
  slicesOf(key: ServiceKey): readonly EndpointSlice[];
  readonly nodes: ReadonlyMap<string, Node>;
}
