import Counter from 'prom-client/lib/counter.js';
import type Registry from 'prom-client/lib/registry.js';
import type { Family } from '../model/address';
import { modesOf } from './modes-of-metrics';

const syncFailures = 'kubeproxy_sync_proxy_rules_nftables_sync_failures_total';
const cleanupFailures = 'kubeproxy_sync_proxy_rules_nftables_cleanup_failures_total';

/** kube-proxy's metrics about transactions of nftables that failed. */
export class NftablesMetrics {
  readonly #syncFailures: Counter<'ip_family'>;
  readonly #cleanupFailures: Counter<'ip_family'>;

  constructor(registry: Registry) {
    const labelNames = ['ip_family'] as const;
    const registers = [registry];
    const [sync, cleanup] = ['Writes of rules that failed', 'Removals of what is no longer used that failed'];
    this.#syncFailures = new Counter({ name: syncFailures, help: sync, labelNames, registers });
    this.#cleanupFailures = new Counter({ name: cleanupFailures, help: cleanup, labelNames, registers });
  }

  /** Counts a failed write, if it is in a mode that has this metric. */
  writeFailed(mode: string, family: Family): void {
    if (modesOf[syncFailures]?.includes(mode) === true) this.#syncFailures.inc({ ip_family: family });
  }

  cleanupsFailed(family: Family, count: number): void {
    this.#cleanupFailures.inc({ ip_family: family }, count);
  }
}
