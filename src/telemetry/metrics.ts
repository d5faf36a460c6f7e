/** The Prometheus metrics: those of kube-proxy and its API client with their names, labels and buckets, and vipwire's own. */
import Counter from 'prom-client/lib/counter.js';
import Gauge from 'prom-client/lib/gauge.js';
import Histogram from 'prom-client/lib/histogram.js';
import Registry from 'prom-client/lib/registry.js';
import { modesOf, packetMetrics } from './modes-of-metrics';
import { NftablesMetrics } from './nftables-metrics';
import { type ReadUsage, registerProcessMetrics } from './process-metrics';

/** Seconds: 1 ms doubled 14 times. */
const syncBuckets = Array.from({ length: 15 }, (_, k) => 0.001 * 2 ** k);

function steps(from: number, to: number, step: number): number[] {
  return Array.from({ length: (to - from) / step + 1 }, (_, i) => from + i * step);
}
/** Seconds: fine up to a minute, coarse up to five. */
const programmingBuckets = [0.25, 0.5, ...steps(1, 59, 1), ...steps(60, 115, 5), ...steps(120, 300, 30)];

/** Seconds: client-go's. */
const requestBuckets = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60];

/** A finished request of the API client. */
export interface AnsweredRequest {
  readonly code: string;
  readonly method: string;
  readonly host: string;
  /** Time until the status line came. */
  readonly seconds: number;
}

/** Packets that the rules have counted since the node has had these counters. */
export interface PacketCounts {
  readonly droppedInvalid: number;
  readonly acceptedOnLocalhost: number;
}

/**
 * Every metric is a public field with a similar name. A metric with labels is not exposed before its first observation.
 * All times are seconds. `ip_family` is `IPv4` or `IPv6`.
 */
export class ProxyMetrics {
  readonly #registry = new Registry();
  readonly #registers = [this.#registry];
  /** Called at each scrape. undefined when the kernel does not count. */
  #packetCounts: (() => Promise<PacketCounts | undefined>) | undefined;

  /** Every attempt to sync, also a failed one. */
  readonly syncDuration = this.#durations('kubeproxy_sync_proxy_rules_duration_seconds', 'Duration of a sync');
  /** Syncs that compared all rules. */
  readonly syncFullDuration = this.#durations(
    'kubeproxy_sync_full_proxy_rules_duration_seconds',
    'Duration of a sync of all rules',
  );
  /** Syncs that compared only what had changed. */
  readonly syncPartialDuration = this.#durations(
    'kubeproxy_sync_partial_proxy_rules_duration_seconds',
    'Duration of a sync of the changed rules',
  );
  /** Seconds since the epoch. */
  readonly syncLastTimestamp = this.#gauge(
    'kubeproxy_sync_proxy_rules_last_timestamp_seconds',
    'Time of the last successful sync',
    'ip_family',
  );
  /** Seconds since the epoch. */
  readonly syncLastQueuedTimestamp = this.#gauge(
    'kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds',
    'Time when a sync was last queued',
    'ip_family',
  );
  /** Time from a change of an endpoint in the cluster until its rules are in force. */
  readonly networkProgrammingDuration = this.#durations(
    'kubeproxy_network_programming_duration_seconds',
    'Time from a change of endpoints until its rules are in force',
    programmingBuckets,
  );
  readonly endpointChangesPending = this.#gauge(
    'kubeproxy_sync_proxy_rules_endpoint_changes_pending',
    'Changes of endpoints that are waiting for a sync',
  );
  readonly endpointChangesTotal = this.#counter(
    'kubeproxy_sync_proxy_rules_endpoint_changes_total',
    'Changes of endpoints',
  );
  readonly serviceChangesPending = this.#gauge(
    'kubeproxy_sync_proxy_rules_service_changes_pending',
    'Changes of Services that are waiting for a sync',
  );
  /** kube-proxy counts a change once per family. */
  readonly serviceChangesTotal = this.#counter(
    'kubeproxy_sync_proxy_rules_service_changes_total',
    'Changes of Services',
  );
  /** `traffic_policy` is `internal` or `external`. */
  readonly noLocalEndpoints = this.#gauge(
    'kubeproxy_sync_proxy_rules_no_local_endpoints_total',
    'Service ports that have a Local traffic policy and endpoints, but no endpoint on this node',
    'traffic_policy',
    'ip_family',
  );
  /** `code` is `200` or `503`. */
  readonly healthzTotal = this.#counter('kubeproxy_proxy_healthz_total', 'Answers of /healthz', 'code');
  readonly livezTotal = this.#counter('kubeproxy_proxy_livez_total', 'Answers of /livez', 'code');
  /** `table` is `filter` or `nat`. */
  readonly iptablesTotal = this.#gauge(
    'kubeproxy_sync_proxy_rules_iptables_total',
    'Rules in force',
    'table',
    'ip_family',
  );
  readonly iptablesLast = this.#gauge(
    'kubeproxy_sync_proxy_rules_iptables_last',
    'Rules that the last sync wrote',
    'table',
    'ip_family',
  );
  readonly iptablesRestoreFailures = this.#counter(
    'kubeproxy_sync_proxy_rules_iptables_restore_failures_total',
    'Calls of iptables-restore that failed',
    'ip_family',
  );
  readonly iptablesPartialRestoreFailures = this.#counter(
    'kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total',
    'Calls of iptables-restore with only the changed rules that failed',
    'ip_family',
  );
  readonly nftables = new NftablesMetrics(this.#registry);
  readonly conntrackSyncDuration = this.#durations(
    'kubeproxy_conntrack_reconciler_sync_duration_seconds',
    'Duration of a clean-up of stale flows',
  );
  readonly conntrackDeletedEntries = this.#counter(
    'kubeproxy_conntrack_reconciler_deleted_entries_total',
    'Stale flows that were deleted',
    'ip_family',
  );

  readonly loopbackListeners = this.#gauge(
    'kubeproxy_nftables_localhost_nodeport_listeners',
    'NodePorts for which this process listens on ::1',
    'ip_family',
  );
  readonly loopbackListenerFailures = this.#counter(
    'kubeproxy_nftables_localhost_nodeport_listener_creation_failures_total',
    'Attempts to listen on ::1 for a NodePort that failed',
    'ip_family',
  );
  /** `result` is that of a relay. */
  readonly loopbackConnections = this.#counter(
    'vipwire_localhost_nodeport_connections_total',
    'Connections to NodePorts on ::1',
    'ip_family',
    'result',
  );

  /** This one and the next are exposed when the kernel has nfacct. */
  readonly packetsDropped = this.#counter(
    packetMetrics[0],
    'Dropped packets that the connection tracker calls INVALID',
  );
  readonly packetsOnLocalhost = this.#counter(packetMetrics[1], 'Connections to NodePorts on 127.0.0.0/8');

  /** Requests of the API client, counted as client-go does: `code` is the HTTP status, or `<error>` when no answer came. */
  readonly requests = this.#counter(
    'rest_client_requests_total',
    'Requests to the API server',
    'code',
    'method',
    'host',
  );
  /** Time until the status line came: a watch continues after it. */
  readonly requestDuration = new Histogram({
    name: 'rest_client_request_duration_seconds',
    help: 'Time from a request to its answer',
    labelNames: ['verb', 'host'],
    buckets: requestBuckets,
    registers: this.#registers,
  });

  readonly watchRestarts = this.#counter(
    'vipwire_watch_restarts_total',
    'Watches that were resumed after they had ended',
    'resource',
    'reason',
  );
  readonly relists = this.#counter(
    'vipwire_relists_total',
    'How often all objects of a kind were listed again',
    'resource',
    'reason',
  );
  /** 0 while what the watch reported is the resource's present state. Set at each scrape. */
  readonly #watchStaleSeconds = this.#gauge(
    'vipwire_watch_stale_seconds',
    'Time for which a watch has not been current',
    'resource',
  );
  /** The performance.now() at which a watch was lost. undefined while the watch is current. */
  readonly #watchesLostMs = new Map<string, number | undefined>();
  readonly driftRepairs = this.#counter(
    'vipwire_drift_repairs_total',
    'How often rules of vipwire were repaired after something else had changed them',
    'table',
    'reason',
    'ip_family',
  );
  /** `question` is a fixed phrase, the same as in the log. */
  readonly unansweredQuestions = this.#counter(
    'vipwire_unanswered_questions_total',
    'Questions to the machine or the API server that could not be answered and were asked again',
    'question',
  );
  readonly writeErrors = this.#counter(
    'vipwire_write_errors_total',
    'Writes to the kernel that failed',
    'backend',
    'ip_family',
  );
  /** `result` is `applied` or `refused`. */
  readonly configReloads = this.#counter(
    'vipwire_config_reloads_total',
    'Changes of the configuration file that took effect or were refused',
    'result',
  );
  /** `kind` is that of a ClusterWarning. */
  readonly warnings = this.#counter('vipwire_warnings_total', 'Warnings about objects of the cluster', 'kind');

  /** The Content-Type of what print returns. */
  readonly contentType = this.#registry.contentType;

  constructor(version: string, readUsage: ReadUsage = () => undefined) {
    this.#gauge('vipwire_build_info', 'The version of this process', 'version').set({ version }, 1);
    registerProcessMetrics(this.#registry, readUsage);
  }

  requestDone({ code, method, host, seconds }: AnsweredRequest): void {
    this.requests.inc({ code, method, host });
    this.requestDuration.observe({ verb: method, host }, seconds);
  }

  watchCurrent(resource: string): void {
    this.#watchesLostMs.set(resource, undefined);
  }

  watchLost(resource: string): void {
    this.#watchesLostMs.set(resource, this.#watchesLostMs.get(resource) ?? performance.now());
  }

  watchGone(resource: string): void {
    this.#watchesLostMs.delete(resource);
    this.#watchStaleSeconds.remove({ resource });
  }

  /**
   * Returns the text exposition, in the order of names.
   * @param mode the proxy mode, which decides which of kube-proxy's metrics are exposed.
   */
  async print(mode: string): Promise<string> {
    for (const [resource, lostMs] of this.#watchesLostMs)
      this.#watchStaleSeconds.set({ resource }, lostMs === undefined ? 0 : (performance.now() - lostMs) / 1000);
    const hidden = new Set<string>((await this.#readPacketCounts()) ? [] : packetMetrics);
    const isExposed = (name: string): boolean => !hidden.has(name) && (modesOf[name]?.includes(mode) ?? true);
    const names = this.#registry
      .getMetricsAsArray()
      .map(({ name }) => name)
      .filter(isExposed);
    const texts = await Promise.all(names.sort().map((name) => this.#registry.getSingleMetricAsString(name)));
    // A metric with only HELP and TYPE has no values yet. client_golang leaves it out, and alerts on absence rely on that.
    return texts.filter((text) => text.split('\n', 3).length > 2).join('\n') + '\n';
  }

  #counter<L extends string>(name: string, help: string, ...labelNames: L[]): Counter<L> {
    return new Counter({ name, help, labelNames, registers: this.#registers });
  }

  #gauge<L extends string>(name: string, help: string, ...labelNames: L[]): Gauge<L> {
    return new Gauge({ name, help, labelNames, registers: this.#registers });
  }

  #durations(name: string, help: string, buckets = syncBuckets): Histogram<'ip_family'> {
    return new Histogram({ name, help, labelNames: ['ip_family'], buckets, registers: this.#registers });
  }

  /** Sets the function that reads the packet counts from now on, or undefined when there are no counts. */
  countPackets(read: (() => Promise<PacketCounts | undefined>) | undefined): void {
    this.#packetCounts = read;
  }

  /** Returns false when there are no counts. */
  async #readPacketCounts(): Promise<boolean> {
    const counts = await this.#packetCounts?.().catch(() => undefined);
    this.packetsDropped.reset();
    this.packetsDropped.inc(counts?.droppedInvalid ?? 0);
    this.packetsOnLocalhost.reset();
    this.packetsOnLocalhost.inc(counts?.acceptedOnLocalhost ?? 0);
    return counts !== undefined;
  }
}
