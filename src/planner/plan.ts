/**
 * The Plan: what this node should do for one IP family. Every backend renders it, explanations walk it, dry runs print it.
 * All decisions about policy, readiness, topology and masquerading are made here; a backend decides none of them again.
 */
import type { Family } from '../model/address';
import type { ServiceKey } from '../model/cluster';
import type { Protocol } from '../model/protocol';
import type { LocalDetector } from '../model/local-detector';
import type { Scheduler } from '../model/scheduler';

/** Node addresses on which NodePorts answer. */
export type NodePortAddresses =
  | { readonly kind: 'all' }
  /** Canonical addresses of this node, sorted; may be empty. */
  | { readonly kind: 'some'; readonly addresses: readonly string[] };

export interface PlanEndpoint {
  readonly address: string;
  readonly port: number;
  readonly isLocal: boolean;
  /** Its part of new connections, against the others of its list: 0 (none) to 65535; absent: 1. Of a list, some get some. */
  readonly weight?: number;
}

export type FrontendKind = 'ClusterIP' | 'ExternalIP' | 'LoadBalancer' | 'NodePort';

/**
 * Sources whose connections get this node's address, where the endpoint is not an address of this node: what comes in for the node itself
 * (a Pod in its network) is delivered, never meets POSTROUTING and keeps its source, in every mode. Hairpin connections always get it,
 * apart from this.
 */
export type Masquerade =
  | 'never'
  | 'always'
  /** All but this node's pods, as the Plan's detector tells them. */
  | 'not-local-pods';

export type Verdict =
  /** Balance over this list of the service port. */
  | { readonly kind: 'forward'; readonly endpoints: 'cluster' | 'local' }
  /** ICMP port unreachable. */
  | { readonly kind: 'reject'; readonly why: 'no endpoints' }
  | { readonly kind: 'drop'; readonly why: 'no local endpoints' };

export interface Frontend {
  readonly kind: FrontendKind;
  /** Canonical; '' for a NodePort, which is on the Plan's node-port addresses. */
  readonly address: string;
  readonly port: number;
  readonly verdict: Verdict;
  readonly masquerade: Masquerade;
  /**
   * externalTrafficPolicy Local: this node's pods (unmasqueraded) and the node itself (masqueraded) go to the cluster list
   * whatever the verdict says; set only where that list has anyone.
   */
  readonly localSourcesToCluster: boolean;
  /** Canonical CIDRs of this family that may connect, sorted; undefined: everyone. Packets of others are dropped. */
  readonly sourceRanges?: readonly string[];
  /** The ranges include this node's own address, so that it may also connect from the VIP itself. */
  readonly sourceRangesHaveNode?: boolean;
}

export interface ServicePortPlan {
  readonly service: ServiceKey;
  readonly namespace: string;
  readonly name: string;
  /** '' for an unnamed port. */
  readonly portName: string;
  readonly protocol: Protocol;
  /** Sorted by kind (in FrontendKind's order) and address. */
  readonly frontends: readonly Frontend[];
  /** Sorted by the text `address:port`. */
  readonly clusterEndpoints: readonly PlanEndpoint[];
  readonly localEndpoints: readonly PlanEndpoint[];
  /** Every serving endpoint whatever policy or topology say: flows to others are stale. `address:port` texts, sorted. UDP only. */
  readonly servingEndpoints: readonly string[];
  /** Seconds; 0: none. */
  readonly affinitySeconds: number;
  /** What the Service asks for, in the place of the one of all; IPVS alone has several. */
  readonly scheduler?: Scheduler;
  /** internalTrafficPolicy or externalTrafficPolicy is Local, there are endpoints, and none is here (a kube-proxy metric). */
  readonly noLocalEndpoints: { readonly internal: boolean; readonly external: boolean };
}

export interface ServicePlan {
  readonly key: ServiceKey;
  readonly ports: readonly ServicePortPlan[];
  /** 0: none. */
  readonly healthCheckNodePort: number;
  /** Distinct addresses of ready endpoints on this node, over all ports: what the service health server tells. */
  readonly localReadyEndpoints: number;
  /** Endpoints over all ports, ready or not (a kube-proxy count). */
  readonly endpointCount: number;
}

/** What of the node and the configuration the Plan depends on, apart from Services and slices. */
export interface NodeSettings {
  readonly nodeName: string;
  /** '' where unknown. */
  readonly zone: string;
  readonly nodeIPs: Readonly<Partial<Record<Family, string>>>;
  readonly masqueradeAll: boolean;
  readonly localDetector: Readonly<Record<Family, LocalDetector>>;
  readonly nodePortAddresses: Readonly<Record<Family, NodePortAddresses>>;
  /** IPv4 alone: NodePorts answer on 127.0.0.0/8. */
  readonly localhostNodePorts: boolean;
  /**
   * This node's own addresses of both families, sorted, without loopback and link-local ones: only in modes that name each, and
   * then not those of kube-ipvs0.
   */
  readonly hostAddresses?: readonly string[];
  /** Gate AllowServiceExternalIPs: otherwise nobody answers on spec.externalIPs. */
  readonly allowServiceExternalIPs: boolean;
}

export interface Plan {
  readonly family: Family;
  readonly settings: NodeSettings;
  /** Services that are proxied in this family. */
  readonly services: ReadonlyMap<ServiceKey, ServicePlan>;
}

/** Services whose plan changed: the new plan, or undefined where the Service is gone. */
export type PlanChanges = ReadonlyMap<ServiceKey, ServicePlan | undefined>;

/** A Plan that its owner keeps up to date; everyone else sees a Plan. */
export interface MutablePlan extends Plan {
  readonly services: Map<ServiceKey, ServicePlan>;
}

/** kube-proxy's name of a service port: `ns/name`, or `ns/name:port` where the port has a name. */
export function servicePortName(port: Pick<ServicePortPlan, 'service' | 'portName'>): string {
  return port.portName === '' ? port.service : `${port.service}:${port.portName}`;
}
