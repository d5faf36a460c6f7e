import type { ProxyMode } from '../model/proxy-mode';
import type { Scheduler } from '../model/scheduler';

export interface IpvsConfiguration {
  /** Of Services that choose none. */
  readonly scheduler: Scheduler;
  /** Canonical: virtual servers on these that no Service wants are left alone. */
  readonly excludeCIDRs: readonly string[];
  readonly strictARP: boolean;
  /** From one look at everything in the kernel to the next. */
  readonly checkPeriodMs: number;
  /** 0: the kernel's stays as it is. */
  readonly tcpTimeoutSeconds: number;
  readonly tcpFinTimeoutSeconds: number;
  readonly udpTimeoutSeconds: number;
}

export interface ConntrackConfiguration {
  /** Tracked connections at most, for each CPU; 0: the kernel's limit stays, whatever `min` is. */
  readonly maxPerCore: number;
  readonly min: number;
  /** 0: the kernel's stays as it is; so for the others. */
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

/** The configuration in effect: file, flags and defaults joined, checked, in internal units. */
export interface ProxyConfiguration {
  readonly mode: ProxyMode;
  /** Path; '' where the in-cluster credentials (or --master alone) serve. */
  readonly kubeconfig: string;
  /** URL that overrides the kubeconfig's server; ''. */
  readonly master: string;
  /** As given: see chooseNodeName. */
  readonly hostnameOverride: string;
  /** Never bound: it stands for this node's address, and decides its primary family, unless it is a wildcard. Canonical. */
  readonly bindAddress: string;
  /** undefined: no such server. */
  readonly healthzBindAddress: BindAddress | undefined;
  readonly metricsBindAddress: BindAddress;
  /** Exit where a server cannot listen, instead of trying again. */
  readonly bindAddressHardFail: boolean;
  /** 0-31. */
  readonly masqueradeBit: number;
  readonly masqueradeAll: boolean;
  readonly localhostNodePorts: boolean;
  /** Of the mode in use. */
  readonly syncPeriodMs: number;
  readonly minSyncPeriodMs: number;
  readonly ipvs: IpvsConfiguration;
  readonly conntrack: ConntrackConfiguration;
  /** -1000 to 1000. */
  readonly oomScoreAdj: number;
  readonly enableProfiling: boolean;
  /** Metrics that the release before hid are shown: showHiddenMetricsForVersion names it. */
  readonly showHiddenMetrics: boolean;
  /** How this node's pods are told from other sources. */
  readonly detectLocalMode: DetectLocalMode;
  /** Canonical, one of a family at most; empty in another mode than ClusterCIDR. */
  readonly clusterCIDRs: readonly string[];
  /** Not empty in mode BridgeInterface. */
  readonly bridgeInterface: string;
  /** Not empty in mode InterfaceNamePrefix. */
  readonly interfaceNamePrefix: string;
  /** Canonical CIDRs, or `primary` alone; empty: every address of the node. */
  readonly nodePortAddresses: readonly string[];
  /** Gate AllowServiceExternalIPs: false leaves spec.externalIPs of every Service out. */
  readonly allowServiceExternalIPs: boolean;
  readonly logging: { readonly verbosity: number; readonly format: 'text' | 'json' };
}
