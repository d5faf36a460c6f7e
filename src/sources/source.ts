import type { ClusterChange, ClusterWarning } from '../model/cluster';

/** Where a source puts what it learns. All calls are synchronous and must not throw. */
export interface ClusterSink {
  /** In the order in which they happened. A source batches what arrived together. */
  apply(changes: readonly ClusterChange[]): void;
  warn(warning: ClusterWarning): void;
  /** Services and slices (and this node, where the source has nodes) have all been listed once. Called once. */
  synced(): void;
}

/** Says what the cluster is: a Kubernetes API server, or manifests. */
export interface Source {
  /** Returns at once; reports to the sink until stop. A failure to reach the cluster is logged and retried, never thrown. */
  start(sink: ClusterSink): void;
  stop(): Promise<void>;
  /** By address, canonical: which Node has it, of all Nodes. Throws where it cannot be told. Absent: no Nodes but this one matter. */
  listNodeAddresses?(signal: AbortSignal): Promise<ReadonlyMap<string, string>>;
}
