/**
 * The Plan: what this node should do for one IP family. Backends render it, explanations walk through it, and dry runs print it.
 * The planner makes all decisions about policy, readiness, topology and masquerading; a backend makes none of them again.
 */
import type { Family } from '../model/address';
import type { ServiceKey } from '../model/cluster';
import type { Protocol } from '../model/protocol';
import type { LocalDetector } from '../model/local-detector';
import type { Scheduler } from '../model/scheduler';

/** The node's addresses on which NodePorts answer. */
export type NodePortAddresses =
  | { readonly kind: 'all' }
  /** Canonical addresses of this node, sorted; may be empty. */
  | { readonly kind: 'some'; readonly addresses: readonly string[] };

export interface PlanEndpoint {
  readonly address: string;
  readonly port: number;
  readonly isLocal: boolean;
  /**
   * Its share of new connections relative to the other endpoints of its list: 0 (none) to 65535. Absent for 1. A list never
   * consists of endpoints with the weight 0 alone.
   */
  readonly weight?: number;
}

export type FrontendKind = 'ClusterIP' | 'ExternalIP' | 'LoadBalancer' | 'NodePort';

/**
 * The sources whose connections get this node's address as their source. It does not apply to endpoints on an address of this node
 * (pods with hostNetwork): those packets are delivered locally, never pass POSTROUTING and keep their source, in every mode.
 * Hairpin connections are always masqueraded, whatever this says.
 */
export type Masquerade =
  | 'never'
  | 'always'
  /** All sources except this node's pods, as localDetector recognises them. */
  | 'not-local-pods';

export type Verdict =
  /** Balance over this list of the service port's endpoints. */
  | { readonly kind: 'forward'; readonly endpoints: 'cluster' | 'local' }
  /** Answer with ICMP port unreachable. */
  | { readonly kind: 'reject'; readonly why: 'no endpoints' }
  | { readonly kind: 'drop'; readonly why: 'no local endpoints' };

export interface Frontend {
  readonly kind: FrontendKind;
  /** Canonical. '' for a NodePort: it answers on the addresses in nodePortAddresses. */
  readonly address: string;
  readonly port: number;
  readonly verdict: Verdict;
  readonly masquerade: Masquerade;
  /**
   * With externalTrafficPolicy Local, this node's pods (unmasqueraded) and the node itself (masqueraded) go to the cluster list,
   * whatever the verdict is. False if that list is empty.
   */
  readonly localSourcesToCluster: boolean;
  /** The canonical CIDRs of this family that may connect, sorted. Packets from other sources are dropped. Undefined: all may. */
  readonly sourceRanges?: readonly string[];
  /** Whether the ranges include this node's own address. If so, the node may also connect with the VIP itself as the source. */
  readonly sourceRangesHaveNode?: boolean;
}

export interface ServicePortPlan {
  readonly service: ServiceKey;
  readonly namespace: string;
  readonly name: string;
  /** '' for an unnamed port. */
  readonly portName: string;
  readonly protocol: Protocol;
  /** Sorted by kind (in the order of FrontendKind) and address. */
  readonly frontends: readonly Frontend[];
  /** Sorted by the text `address:port`. */
  readonly clusterEndpoints: readonly PlanEndpoint[];
  readonly localEndpoints: readonly PlanEndpoint[];
  /**
   * `address:port` of every serving endpoint, whatever its policy or topology, sorted. Flows to other endpoints are stale. Empty
   * for protocols other than UDP.
   */
  readonly servingEndpoints: readonly string[];
  /** Seconds; 0: none. */
  readonly affinitySeconds: number;
  /** What the Service asks for instead of the configured scheduler. Only IPVS has several. */
  readonly scheduler?: Scheduler;
  /** Whether the policy is Local and there are endpoints, but not on this node (a kube-proxy metric). */
  readonly noLocalEndpoints: { readonly internal: boolean; readonly external: boolean };
}

export interface ServicePlan {
  readonly key: ServiceKey;
  readonly ports: readonly ServicePortPlan[];
  /** 0: none. */
  readonly healthCheckNodePort: number;
  /** The number of distinct addresses of ready endpoints on this node, over all ports. The service health server reports it. */
  readonly localReadyEndpoints: number;
  /** The number of endpoints of all ports, ready or not (a kube-proxy metric). */
  readonly endpointCount: number;
}

/** What the Plan depends on besides Services and slices: facts about the node, and configuration. */
export interface NodeSettings {
  readonly nodeName: string;
  /** '' if unknown. */
  readonly zone: string;
  readonly nodeIPs: Readonly<Partial<Record<Family, string>>>;
  readonly masqueradeAll: boolean;
  readonly localDetector: Readonly<Record<Family, LocalDetector>>;
  readonly nodePortAddresses: Readonly<Record<Family, NodePortAddresses>>;
  /** Whether NodePorts answer on 127.0.0.0/8, by rules. */
  readonly localhostNodePorts: boolean;
  /** Whether TCP NodePorts answer on ::1, by a listener, since rules cannot do it. Only set where they do. */
  readonly localhostNodePortsIPv6?: boolean;
  /**
   * This node's own addresses of both families, sorted, without those that are loopback or link-local or on kube-ipvs0. Only set
   * in modes whose rules list them.
   */
  readonly hostAddresses?: readonly string[];
  /**
   * The CIDRs of all ServiceCIDR objects, canonical, both families, sorted. What goes to an address in one of these that belongs to
   * no Service is dropped. Only set in modes that read them; empty while none are known.
   */
  readonly serviceCIDRs?: readonly string[];
  /** The gate AllowServiceExternalIPs. Without it nothing answers on spec.externalIPs. */
  readonly allowServiceExternalIPs: boolean;
}

export interface Plan {
  readonly family: Family;
  readonly settings: NodeSettings;
  /** The Services that are proxied in this family. */
  readonly services: ReadonlyMap<ServiceKey, ServicePlan>;
}

/** The Services whose plan changed, with the new plan, or undefined if there is none any more. */
export type PlanChanges = ReadonlyMap<ServiceKey, ServicePlan | undefined>;

/** A Plan that its owner keeps up to date. Everyone else gets it as a Plan. */
export interface MutablePlan extends Plan {
  readonly services: Map<ServiceKey, ServicePlan>;
}

/** Whether new connections may go to the endpoint. One with the weight 0 only keeps those that it has. */
export function takesNew({ weight }: Pick<PlanEndpoint, 'weight'>): boolean {
  return weight !== 0;
}

/** kube-proxy's name of a service port: `ns/name`, or `ns/name:port` if the port has a name. */
export function servicePortName(port: Pick<ServicePortPlan, 'service' | 'portName'>): string {
  return port.portName === '' ? port.service : `${port.service}:${port.portName}`;
}
