import type { ProxyMode } from '../model/proxy-mode';
import type { Scheduler } from '../model/scheduler';

export interface IpvsConfiguration {
  /** For Services that do not choose a scheduler. */
  readonly scheduler: Scheduler;
  /** Canonical. A virtual server in one of these that belongs to no Service is left alone. */
  readonly excludeCIDRs: readonly string[];
  readonly strictARP: boolean;
  /** Time between two checks of everything in the kernel. */
  readonly checkPeriodMs: number;
  /** 0 keeps the kernel's value; so for the next two. */
  readonly tcpTimeoutSeconds: number;
  readonly tcpFinTimeoutSeconds: number;
  readonly udpTimeoutSeconds: number;
}

export interface ConntrackConfiguration {
  /** Limit of tracked connections per CPU. 0 keeps the kernel's limit, whatever `min` is. */
  readonly maxPerCore: number;
  readonly min: number;
  /** 0 keeps the kernel's value; so for the other timeouts. */
  readonly tcpEstablishedTimeoutSeconds: number;
  readonly tcpCloseWaitTimeoutSeconds: number;
  readonly tcpBeLiberal: boolean;
  readonly udpTimeoutSeconds: number;
  readonly udpStreamTimeoutSeconds: number;
}

export interface BindAddress {
  /** Canonical. A wildcard (`0.0.0.0`, `::`) means every address of both families. */
  readonly address: string;
  readonly port: number;
}

export type DetectLocalMode = 'ClusterCIDR' | 'NodeCIDR' | 'BridgeInterface' | 'InterfaceNamePrefix';

/** The configuration in effect: joined from file, flags and defaults, checked, and in internal units. */
export interface ProxyConfiguration {
  readonly mode: ProxyMode;
  /** Path. '' uses the in-cluster credentials, or --master alone. */
  readonly kubeconfig: string;
  /** URL that overrides the kubeconfig's server. '' does not override it. */
  readonly master: string;
  /** As the user gave it; chooseNodeName makes the node's name of it. */
  readonly hostnameOverride: string;
  /** Canonical. Never bound: unless it is a wildcard, it is taken as this node's address and decides the primary family. */
  readonly bindAddress: string;
  /** undefined turns the server off. */
  readonly healthzBindAddress: BindAddress | undefined;
  readonly metricsBindAddress: BindAddress;
  /** Exit when a server cannot listen, instead of trying again. */
  readonly bindAddressHardFail: boolean;
  /** 0-31. This and the next are those of the mode in use. */
  readonly masqueradeBit: number;
  readonly masqueradeAll: boolean;
  readonly localhostNodePorts: boolean;
  /** Both periods are those of the mode in use. */
  readonly syncPeriodMs: number;
  readonly minSyncPeriodMs: number;
  readonly ipvs: IpvsConfiguration;
  readonly conntrack: ConntrackConfiguration;
  /** -1000 to 1000. */
  readonly oomScoreAdj: number;
  readonly enableProfiling: boolean;
  /** Show the metrics that the previous release hid: showHiddenMetricsForVersion names that release. */
  readonly showHiddenMetrics: boolean;
  /** How traffic of this node's pods is told from other traffic. */
  readonly detectLocalMode: DetectLocalMode;
  /** Canonical, at most one per family. Empty unless detectLocalMode is ClusterCIDR. */
  readonly clusterCIDRs: readonly string[];
  /** Not empty when detectLocalMode is BridgeInterface. */
  readonly bridgeInterface: string;
  /** Not empty when detectLocalMode is InterfaceNamePrefix. */
  readonly interfaceNamePrefix: string;
  /** Canonical CIDRs and nodePortWords. Empty means every address of the node. */
  readonly nodePortAddresses: readonly string[];
  /** Feature gate AllowServiceExternalIPs. False ignores spec.externalIPs of every Service. */
  readonly allowServiceExternalIPs: boolean;
  readonly logging: { readonly verbosity: number; readonly format: 'text' | 'json' };
}
