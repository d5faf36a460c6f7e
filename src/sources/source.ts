import type { ClusterChange, ClusterWarning } from '../model/cluster';

/** Takes what a source learns. All calls are synchronous and must not throw. */
export interface ClusterSink {
  /** Takes changes in the order in which they happened. A source batches what arrived together. */
  apply(changes: readonly ClusterChange[]): void;
  warn(warning: ClusterWarning): void;
  /** Called once, when Services and slices (and this node, if the source has nodes) have all been listed. */
  synced(): void;
}

/** Reports the state of the cluster, from a Kubernetes API server or from manifests. */
export interface Source {
  /** Returns at once and reports to the sink until stop. Failures to reach the cluster are logged and retried, never thrown. */
  start(sink: ClusterSink): void;
  stop(): Promise<void>;
  /**
   * Whether ServiceCIDRs are reported from now on; they are not before this is called. May be called before `start` and again. Those that
   * were reported are deleted when they are no longer wanted. A source without this method always reports those that it has.
   */
  readServiceCIDRs?(isWanted: boolean): void;
  /**
   * Returns the name of the Node by canonical address, for all Nodes. Throws when they cannot be read. A source without this method has no
   * other Nodes that matter.
   */
  listNodeAddresses?(signal: AbortSignal): Promise<ReadonlyMap<string, string>>;
}
