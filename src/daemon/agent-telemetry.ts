/** What the daemon reports: a log line and metrics for each round, and whether it is healthy. */
import type { Backend } from '../backends/backend';
import type { Clock } from '../host/clock';
import { CommandError } from '../host/command';
import type { Family } from '../model/address';
import type { ClusterChange, ClusterWarning, Node, ServiceKey } from '../model/cluster';
import { sameValue } from '../model/same-value';
import type { Mode } from '../modes/mode';
import type { NodePortAddresses, Plan, ServicePlan } from '../planner/plan';
import type { SyncFailure } from '../reconciler/reconciler-options';
import type { SyncReport } from '../reconciler/sync-report';
import type { ProxyHealth } from '../servers/proxy-health';
import type { ServiceHealthServers } from '../servers/service-health-servers';
import type { Logger } from '../telemetry/log';
import type { ProxyMetrics } from '../telemetry/metrics';
import { StatusBoard } from '../telemetry/status-board';
import { messageOf } from '../model/error-message';

/** What is reported of a mode. */
type ToldMode = Pick<Mode, 'name' | 'writesByRestore'>;

export interface AgentTelemetryOptions {
  readonly mode: ToldMode;
  readonly metrics: ProxyMetrics;
  readonly log: Logger;
  readonly clock: Clock;
  readonly health: ProxyHealth;
  /** undefined: nothing answers on health check node ports. */
  readonly openServiceHealth: ((family: Family, addresses: NodePortAddresses) => ServiceHealthServers) | undefined;
  /** Default: a board that nobody reads. */
  readonly board?: StatusBoard;
  readonly onSynced?: (family: Family) => void;
  /** Called once, when the first Service with session affinity is in force. */
  readonly onAffinity?: () => void;
  /** Nothing is written, and log lines say so. */
  readonly dryRun?: boolean;
}

/** Counts over the Plan, kept up to date from what each round changed. */
interface Totals {
  endpoints: number;
  internal: number;
  external: number;
  readonly healthChecked: Map<ServiceKey, ServicePlan>;
}

export class AgentTelemetry {
  readonly #options: AgentTelemetryOptions;
  readonly #totals = new Map<Family, Totals>();
  readonly #serviceHealth = new Map<Family, { addresses: NodePortAddresses; servers: ServiceHealthServers }>();
  #hasAffinity = false;
  #serviceChanges = 0;
  #endpointChanges = 0;

  readonly #board: StatusBoard;

  #mode: ToldMode;

  constructor(options: AgentTelemetryOptions) {
    this.#options = options;
    this.#board = options.board ?? new StatusBoard();
    this.#mode = options.mode;
  }

  /** Other loops report from here on, and begin with everything. Health checks of Services are still answered as before. */
  restarted(mode: ToldMode): void {
    this.#mode = mode;
    this.#totals.clear();
  }

  get modeName(): string {
    return this.#mode.name;
  }

  /** Its next report names everything anew. */
  familyRestarted(family: Family): void {
    this.#totals.delete(family);
  }

  changed(changes: readonly ClusterChange[]): void {
    const { metrics } = this.#options;
    for (const change of changes) {
      const { kind, name, ...of } = change.op === 'set' ? change.object : change;
      this.#board.objectChanged(`${kind} ${'namespace' in of ? `${of.namespace}/` : ''}${name}`);
      if (kind === 'Service') {
        // kube-proxy counts a Service's change once for each family.
        metrics.serviceChangesTotal.inc(2);
        this.#serviceChanges++;
      } else if (kind === 'EndpointSlice') {
        metrics.endpointChangesTotal.inc();
        this.#endpointChanges++;
      }
    }
    this.#setPending();
  }

  warned(warning: ClusterWarning): void {
    this.#options.metrics.warnings.inc({ kind: warning.kind });
    this.#board.warned(warning);
  }

  nodeChanged(node: Node): void {
    this.#options.health.setNode(node);
  }

  queued(family: Family): void {
    const { metrics, health, clock } = this.#options;
    health.queuedUpdate(family, clock.now());
    this.#board.queued(family);
    metrics.syncLastQueuedTimestamp.set({ ip_family: family }, clock.epochMs() / 1000);
  }

  failed({ family, error, full, isWrite, durationMs, failures }: SyncFailure): void {
    const { metrics, log } = this.#options;
    const { name, writesByRestore } = this.#mode;
    if (isWrite) {
      metrics.writeErrors.inc({ backend: name, ip_family: family });
      metrics.nftables.writeFailed(name, family);
    }
    const byRestore = writesByRestore || (error instanceof CommandError && /tables/.test(error.command));
    if (isWrite && byRestore) {
      metrics.iptablesRestoreFailures.inc({ ip_family: family });
      if (!full) metrics.iptablesPartialRestoreFailures.inc({ ip_family: family });
    }
    this.#observeDuration(family, full, durationMs / 1000);
    const reason = messageOf(error);
    this.#board.failed(family, failures, reason);
    log.error({ family, failures, reason }, 'cannot bring the rules into force; the last good ones stay, trying again');
  }

  synced(report: SyncReport, plan: Plan, rules: ReturnType<Backend<unknown>['ruleCounts']>): void {
    const { metrics, health, clock, log } = this.#options;
    const { family, reasons, written } = report;
    const totals = this.#addUp(report);
    this.#serviceChanges = this.#endpointChanges = 0;
    this.#setPending();
    this.#observeDuration(family, reasons.size > 0, (report.ownMs + report.kernelMs) / 1000);
    for (const table of ['nat', 'filter']) {
      metrics.iptablesTotal.set({ table, ip_family: family }, rules[table] ?? 0);
      metrics.iptablesLast.set({ table, ip_family: family }, written?.rules[table] ?? 0);
    }
    for (const timeMs of report.triggerTimesMs)
      metrics.networkProgrammingDuration.observe({ ip_family: family }, Math.max(0, clock.epochMs() - timeMs) / 1000);
    metrics.noLocalEndpoints.set({ traffic_policy: 'internal', ip_family: family }, totals.internal);
    metrics.noLocalEndpoints.set({ traffic_policy: 'external', ip_family: family }, totals.external);
    if (report.drifted) this.#repaired(report);
    health.updated(family, clock.now());
    metrics.syncLastTimestamp.set({ ip_family: family }, clock.epochMs() / 1000);
    this.#answerHealthChecks(family, plan.settings.nodePortAddresses[family], totals);
    this.#board.synced(family, {
      ms: report.ownMs + report.kernelMs,
      written: sum(written?.rules),
      bytes: written?.bytes ?? 0,
      services: plan.services.size,
      endpoints: totals.endpoints,
      rules,
    });
    const line = {
      family,
      services: plan.services.size,
      endpoints: totals.endpoints,
      rules: sum(written?.rules),
      ...written?.others,
      bytes: written?.bytes ?? 0,
      calls: written?.steps ?? 0,
      ms: Math.round(report.ownMs + report.kernelMs),
      kernelMs: Math.round(report.kernelMs),
      ...(reasons.size === 0 ? {} : { reason: [...reasons].join(' ') }),
    };
    if (written !== undefined || (reasons.size === 1 && reasons.has('start')))
      log.info(line, this.#options.dryRun === true ? 'would sync' : 'synced');
    else log.debug(line, 'nothing to write');
    this.#options.onSynced?.(family);
  }

  flowsDeleted(family: Family, flows: number, durationMs: number): void {
    const { metrics } = this.#options;
    metrics.conntrackSyncDuration.observe({ ip_family: family }, durationMs / 1000);
    metrics.conntrackDeletedEntries.inc({ ip_family: family }, flows);
  }

  /** @param count how many since the last call. */
  cleanupsFailed(family: Family, count: number): void {
    if (count > 0) this.#options.metrics.nftables.cleanupsFailed(family, count);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#serviceHealth.values()].map(({ servers }) => servers.stop()));
  }

  #answerHealthChecks(family: Family, addresses: NodePortAddresses, { healthChecked }: Totals): void {
    const { openServiceHealth } = this.#options;
    if (openServiceHealth === undefined) return;
    let of = this.#serviceHealth.get(family);
    if (of === undefined || !sameValue(of.addresses, addresses)) {
      void of?.servers.stop();
      this.#serviceHealth.set(family, (of = { addresses, servers: openServiceHealth(family, addresses) }));
    }
    const services = [...healthChecked].map(([key, { ports, healthCheckNodePort, localReadyEndpoints }]) => {
      const { namespace = '', name = '' } = ports[0] ?? {};
      return [key, { namespace, name, port: healthCheckNodePort, localEndpoints: localReadyEndpoints }] as const;
    });
    void of.servers.sync(new Map(services));
  }

  #repaired({ family, written }: SyncReport): void {
    const { metrics, log } = this.#options;
    const tables = written?.tables ?? [];
    this.#board.repaired();
    for (const table of tables) metrics.driftRepairs.inc({ table, reason: 'foreign write', ip_family: family });
    log.warn({ family, tables, rules: sum(written?.rules) }, 'somebody else changed our rules; put right');
  }

  #addUp({ family, before, after }: SyncReport): Totals {
    let totals = this.#totals.get(family);
    if (totals === undefined)
      this.#totals.set(family, (totals = { endpoints: 0, internal: 0, external: 0, healthChecked: new Map() }));
    for (const [key, old] of before) {
      const now = after.get(key);
      for (const [service, sign] of [
        [old, -1],
        [now, 1],
      ] as const) {
        totals.endpoints += sign * (service?.endpointCount ?? 0);
        for (const { noLocalEndpoints } of service?.ports ?? []) {
          totals.internal += noLocalEndpoints.internal ? sign : 0;
          totals.external += noLocalEndpoints.external ? sign : 0;
        }
      }
      if (now?.ports.some(({ affinitySeconds }) => affinitySeconds > 0)) this.#tellOfAffinity();
      if (now !== undefined && now.healthCheckNodePort !== 0) totals.healthChecked.set(key, now);
      else totals.healthChecked.delete(key);
    }
    return totals;
  }

  #tellOfAffinity(): void {
    if (!this.#hasAffinity) this.#options.onAffinity?.();
    this.#hasAffinity = true;
  }

  #observeDuration(family: Family, full: boolean, seconds: number): void {
    const { metrics } = this.#options;
    metrics.syncDuration.observe({ ip_family: family }, seconds);
    (full ? metrics.syncFullDuration : metrics.syncPartialDuration).observe({ ip_family: family }, seconds);
  }

  #setPending(): void {
    this.#options.metrics.serviceChangesPending.set(this.#serviceChanges);
    this.#options.metrics.endpointChangesPending.set(this.#endpointChanges);
  }
}

function sum(rules: Readonly<Record<string, number>> | undefined): number {
  return Object.values(rules ?? {}).reduce((total, count) => total + count, 0);
}
