/** After a round: UDP flows that the connection tracker still sends where the Plan no longer does. */
import type { Conntrack } from '../host/conntrack';
import { ConntrackUnavailableError } from '../host/conntrack-unavailable';
import type { Family } from '../model/address';
import type { Plan } from '../planner/plan';
import { diffUdpFrontends, planStaleFlows, type UdpFrontend } from '../planner/stale-flows';
import type { Logger } from '../telemetry/log';
import type { SyncReport } from './sync-report';

export interface StaleFlowOptions {
  readonly family: Family;
  readonly conntrack: Conntrack;
  readonly nodeAddresses: () => ReadonlySet<string>;
  readonly log: Logger;
  readonly onCleaned: (family: Family, flows: number, durationMs: number) => void;
}

export class StaleFlowCleaner {
  /** 'all': nothing is known of the time before this process. */
  private frontends: Set<UdpFrontend> | 'all' = 'all';
  private running: Promise<void> | undefined;
  private unavailable = false;

  constructor(private readonly options: StaleFlowOptions) {}

  /** Returns at once; what comes while a clean-up runs is judged after it. Failures are logged and tried again with the next. */
  synced(report: SyncReport, plan: () => Plan | undefined): void {
    if (this.unavailable) return;
    if (this.frontends !== 'all')
      for (const [key, before] of report.before)
        for (const frontend of diffUdpFrontends(before, report.after.get(key))) this.frontends.add(frontend);
    this.running ??= this.clean(plan);
  }

  async stop(): Promise<void> {
    await this.running;
  }

  private async clean(plan: () => Plan | undefined): Promise<void> {
    try {
      while (await this.cleanOnce(plan()));
    } finally {
      // In the same turn in which nothing was left: the next report starts anew.
      this.running = undefined;
    }
  }

  /** Whether there may be more to do. */
  private async cleanOnce(plan: Plan | undefined): Promise<boolean> {
    const { family, conntrack, nodeAddresses, log, onCleaned } = this.options;
    const { frontends } = this;
    if (plan === undefined || (frontends !== 'all' && frontends.size === 0)) return false;
    this.frontends = new Set();
    const filter = planStaleFlows(frontends, plan, nodeAddresses());
    if (filter.ports.size === 0) return true;
    const startedMs = performance.now();
    try {
      const flows = await conntrack.deleteUdpFlows(family, filter);
      const durationMs = performance.now() - startedMs;
      onCleaned(family, flows, durationMs);
      if (flows > 0) log.info({ family, flows, ms: Math.round(durationMs) }, 'deleted stale UDP flows');
      return true;
    } catch (error) {
      if (error instanceof ConntrackUnavailableError) {
        this.unavailable = true;
        log.warn({ reason: error.message }, 'stale UDP flows cannot be deleted on this machine');
        return false;
      }
      this.frontends = frontends === 'all' ? 'all' : new Set([...frontends, ...this.frontends]);
      const reason = (error as Error).message;
      log.warn({ family, reason }, 'cannot delete stale UDP flows; trying again with the next change');
      return false;
    }
  }
}
