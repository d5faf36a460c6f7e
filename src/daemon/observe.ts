import type { KubernetesObserver } from '../sources/kubernetes/api-client';
import type { ProxyMetrics } from '../telemetry/metrics';
import type { StatusBoard } from '../telemetry/status-board';

/** Counts what the API client does in metrics, and keeps its state on the status board. */
export function observe(metrics: ProxyMetrics, board: StatusBoard): KubernetesObserver {
  return {
    watchStarted: (resource) => board.watchStarted(resource),
    watchEnded: (resource, reason) => {
      metrics.watchRestarts.inc({ resource, reason });
      board.watchEnded(resource, reason);
    },
    relisted: (resource, reason) => {
      metrics.relists.inc({ resource, reason });
      board.relisted(resource);
    },
    watchCurrent: (resource) => {
      metrics.watchCurrent(resource);
      board.watchCurrent(resource);
    },
    watchLost: (resource) => {
      metrics.watchLost(resource);
      board.watchLost(resource);
    },
    watchStale: (resource, reason) => board.watchStale(resource, reason),
    watchGone: (resource) => {
      metrics.watchGone(resource);
      board.watchGone(resource);
    },
    requestDone: (answer) => {
      metrics.requestDone(answer);
      board.requestDone(answer);
    },
  };
}
