/** The Prometheus metrics: kube-proxy's of iptables mode by their own names, labels and buckets, and vipwire's. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { IntervalHistogram } from 'node:perf_hooks';
import Counter from 'prom-client/lib/counter.js';
import Gauge from 'prom-client/lib/gauge.js';
import Histogram from 'prom-client/lib/histogram.js';
import Registry from 'prom-client/lib/registry.js';

/** Seconds: 1 ms doubled 14 times. */
const syncBuckets = Array.from({ length: 15 }, (_, k) => 0.001 * 2 ** k);

function steps(from: number, to: number, step: number): number[] {
  return Array.from({ length: (to - from) / step + 1 }, (_, i) => from + i * step);
}
/** Seconds: fine up to a minute, coarse up to five. */
const programmingBuckets = [0.25, 0.5, ...steps(1, 59, 1), ...steps(60, 115, 5), ...steps(120, 300, 30)];

/** Milliseconds between looks at the event loop. */
const loopResolutionMs = 50;

/**
 * Every series is a public field, named as its metric. A metric with labels is not exposed before its first observation.
 * All times are seconds. `ip_family` is `IPv4` or `IPv6`.
 */
export class ProxyMetrics {
  private readonly registry = new Registry();
  private readonly registers = [this.registry];
  private loopDelay: IntervalHistogram | undefined;

  /** Every try to sync. */
  readonly syncDuration = this.durations('kubeproxy_sync_proxy_rules_duration_seconds', 'Time of a sync');
  /** Syncs that compared all of the rules. */
  readonly syncFullDuration = this.durations(
    'kubeproxy_sync_full_proxy_rules_duration_seconds',
    'Time of a sync of all rules',
  );
  /** Syncs of what changed. */
  readonly syncPartialDuration = this.durations(
    'kubeproxy_sync_partial_proxy_rules_duration_seconds',
    'Time of a sync of the rules that changed',
  );
  /** Since the epoch. */
  readonly syncLastTimestamp = this.gauge(
    'kubeproxy_sync_proxy_rules_last_timestamp_seconds',
    'When the last sync succeeded',
    'ip_family',
  );
  /** Since the epoch. */
  readonly syncLastQueuedTimestamp = this.gauge(
    'kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds',
    'When the last sync was asked for',
    'ip_family',
  );
  /** From an endpoint's change in the cluster to the rules in force. */
  readonly networkProgrammingDuration = this.durations(
    'kubeproxy_network_programming_duration_seconds',
    'Time from a change of endpoints to the rules in force',
    programmingBuckets,
  );
  readonly endpointChangesPending = this.gauge(
    'kubeproxy_sync_proxy_rules_endpoint_changes_pending',
    'Changes of endpoints that wait for a sync',
  );
  readonly endpointChangesTotal = this.counter(
    'kubeproxy_sync_proxy_rules_endpoint_changes_total',
    'Changes of endpoints',
  );
  readonly serviceChangesPending = this.gauge(
    'kubeproxy_sync_proxy_rules_service_changes_pending',
    'Changes of services that wait for a sync',
  );
  /** kube-proxy counts a change once for each family. */
  readonly serviceChangesTotal = this.counter(
    'kubeproxy_sync_proxy_rules_service_changes_total',
    'Changes of services',
  );
  /** `traffic_policy` is `internal` or `external`. */
  readonly noLocalEndpoints = this.gauge(
    'kubeproxy_sync_proxy_rules_no_local_endpoints_total',
    'Service ports with a Local traffic policy, endpoints, and none of them here',
    'traffic_policy',
    'ip_family',
  );
  /** `code` is `200` or `503`. */
  readonly healthzTotal = this.counter('kubeproxy_proxy_healthz_total', 'Answers of /healthz', 'code');
  readonly livezTotal = this.counter('kubeproxy_proxy_livez_total', 'Answers of /livez', 'code');
  /** `table` is `filter` or `nat`. */
  readonly iptablesTotal = this.gauge(
    'kubeproxy_sync_proxy_rules_iptables_total',
    'Rules that are in force',
    'table',
    'ip_family',
  );
  readonly iptablesLast = this.gauge(
    'kubeproxy_sync_proxy_rules_iptables_last',
    'Rules that the last sync wrote',
    'table',
    'ip_family',
  );
  readonly iptablesRestoreFailures = this.counter(
    'kubeproxy_sync_proxy_rules_iptables_restore_failures_total',
    'Calls of iptables-restore that failed',
    'ip_family',
  );
  readonly iptablesPartialRestoreFailures = this.counter(
    'kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total',
    'Calls of iptables-restore with the rules that changed that failed',
    'ip_family',
  );
  readonly conntrackSyncDuration = this.durations(
    'kubeproxy_conntrack_reconciler_sync_duration_seconds',
    'Time of a clean-up of stale flows',
  );
  readonly conntrackDeletedEntries = this.counter(
    'kubeproxy_conntrack_reconciler_deleted_entries_total',
    'Stale flows that were deleted',
    'ip_family',
  );

  readonly watchRestarts = this.counter(
    'vipwire_watch_restarts_total',
    'Watches that began anew where they had ended',
    'resource',
    'reason',
  );
  readonly relists = this.counter(
    'vipwire_relists_total',
    'Times that all objects of a kind were listed again',
    'resource',
    'reason',
  );
  readonly driftRepairs = this.counter(
    'vipwire_drift_repairs_total',
    'Times that what others had changed of our rules was put right',
    'table',
    'reason',
    'ip_family',
  );
  readonly writeErrors = this.counter(
    'vipwire_write_errors_total',
    'Writes to the kernel that failed',
    'backend',
    'ip_family',
  );
  /** `kind` is that of a ClusterWarning. */
  readonly warnings = this.counter('vipwire_warnings_total', 'Objects of the cluster with something wrong', 'kind');

  /** The Content-Type of what print returns. */
  readonly contentType = this.registry.contentType;

  constructor(version: string) {
    this.gauge('vipwire_build_info', 'The version that runs', 'version').set({ version }, 1);
    this.registerProcessMetrics();
  }

  /** The text exposition, in order of names. */
  async print(): Promise<string> {
    const names = this.registry.getMetricsAsArray().map(({ name }) => name);
    const texts = await Promise.all(names.sort().map((name) => this.registry.getSingleMetricAsString(name)));
    // HELP and TYPE alone are a vector that has seen nothing: client_golang leaves it out, and alerts on absence expect that.
    return texts.filter((text) => text.split('\n', 3).length > 2).join('\n') + '\n';
  }

  private counter<L extends string>(name: string, help: string, ...labelNames: L[]): Counter<L> {
    return new Counter({ name, help, labelNames, registers: this.registers });
  }

  private gauge<L extends string>(name: string, help: string, ...labelNames: L[]): Gauge<L> {
    return new Gauge({ name, help, labelNames, registers: this.registers });
  }

  private durations(name: string, help: string, buckets = syncBuckets): Histogram<'ip_family'> {
    return new Histogram({ name, help, labelNames: ['ip_family'], buckets, registers: this.registers });
  }

  /** Read when scraped: nothing runs between scrapes but the kernel's timer behind the event loop's lag. */
  private registerProcessMetrics(): void {
    const { registers } = this;
    new Counter({
      name: 'process_cpu_seconds_total',
      help: 'CPU time of the process, without its children',
      registers,
      collect() {
        const { user, system } = process.cpuUsage();
        this.reset();
        this.inc((user + system) / 1e6);
      },
    });
    new Gauge({
      name: 'process_resident_memory_bytes',
      help: 'Resident memory of the process',
      registers,
      collect() {
        this.set(process.memoryUsage.rss());
      },
    });
    this.gauge('process_start_time_seconds', 'When the process started').set(
      Math.round(Date.now() - process.uptime() * 1000) / 1000,
    );
    const lag = this.gauge('vipwire_event_loop_lag_seconds', 'How late timers were since the last scrape', 'quantile');
    const observe = (): void => this.observeLoop(lag);
    Object.assign(lag, { collect: observe });
  }

  /** Watching costs 20 wake-ups a second, so it begins with the first scrape. */
  private observeLoop(lag: Gauge<'quantile'>): void {
    if (this.loopDelay === undefined) {
      this.loopDelay = monitorEventLoopDelay({ resolution: loopResolutionMs });
      this.loopDelay.enable();
      return;
    }
    const { loopDelay } = this;
    if (loopDelay.count === 0) return;
    const seconds = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e9 - loopResolutionMs / 1000);
    lag.set({ quantile: '0.5' }, seconds(loopDelay.percentile(50)));
    lag.set({ quantile: '0.99' }, seconds(loopDelay.percentile(99)));
    lag.set({ quantile: '1' }, seconds(loopDelay.max));
    loopDelay.reset();
  }
}
