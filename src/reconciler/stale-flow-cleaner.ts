/** After a round: UDP flows that the connection tracker still sends where the Plan no longer does. */
import type { Clock } from '../host/clock';
import type { Conntrack } from '../host/conntrack';
import { ConntrackUnavailableError } from '../host/conntrack-unavailable';
import type { Family } from '../model/address';
import { unknown } from '../model/answer';
import type { Plan } from '../planner/plan';
import { diffUdpFrontends, planStaleFlows, type UdpFrontend } from '../planner/stale-flows';
import type { Logger } from '../telemetry/log';
import type { OpenQuestions } from '../telemetry/open-questions';
import type { SyncReport } from './sync-report';

export interface StaleFlowOptions {
  readonly family: Family;
  readonly conntrack: Conntrack;
  readonly nodeAddresses: () => ReadonlySet<string>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly log: Logger;
  readonly questions: OpenQuestions;
  readonly onCleaned: (family: Family, flows: number, durationMs: number) => void;
}

/** After a failure; each pause is twice the last one. */
const restMs = { first: 5000, most: 300_000 } as const;

function question(family: Family): string {
  return `which ${family} UDP flows still go to former endpoints`;
}

export class StaleFlowCleaner {
  /** 'all': nothing is known of the time before this process. */
  private frontends: Set<UdpFrontend> | 'all' = 'all';
  private running: Promise<void> | undefined;
  /** After a failure, until when. */
  private resting: Promise<void> | undefined;
  private restMs: number = restMs.first;
  private isUnavailable = false;
  private readonly stopping = new AbortController();

  constructor(private readonly options: StaleFlowOptions) {}

  /** Returns at once; what comes while a clean-up runs is judged after it. What fails is tried again later. */
  synced(report: SyncReport, plan: () => Plan | undefined): void {
    if (this.frontends !== 'all')
      for (const [key, before] of report.before)
        for (const frontend of diffUdpFrontends(before, report.after.get(key))) this.frontends.add(frontend);
    if (this.resting === undefined) this.running ??= this.clean(plan);
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.resting;
    await this.running;
  }

  private async clean(plan: () => Plan | undefined): Promise<void> {
    try {
      while (!this.stopping.signal.aborted && (await this.cleanOnce(plan)));
    } finally {
      // In the same turn in which nothing was left: the next report starts anew.
      this.running = undefined;
    }
  }

  /** Whether there may be more to do. */
  private async cleanOnce(source: () => Plan | undefined): Promise<boolean> {
    const { family, conntrack, nodeAddresses, log, questions, onCleaned } = this.options;
    const plan = source();
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
      this.restMs = restMs.first;
      this.isUnavailable = false;
      questions.answered(question(family));
      if (flows > 0) log.info({ family, flows, ms: Math.round(durationMs) }, 'deleted stale UDP flows');
      return true;
    } catch (error) {
      const isUnavailable = error instanceof ConntrackUnavailableError;
      // Of a machine that has no connection tracker to ask, nothing is remembered: a module may come.
      this.frontends = isUnavailable || frontends === 'all' ? 'all' : new Set([...frontends, ...this.frontends]);
      if (!isUnavailable) questions.unanswered(question(family), unknown(error));
      else if (!this.isUnavailable)
        log.warn({ family, reason: error.message }, 'stale UDP flows cannot be deleted on this machine');
      this.isUnavailable = isUnavailable;
      this.rest(isUnavailable ? restMs.most : this.restMs, source);
      this.restMs = Math.min(restMs.most, 2 * this.restMs);
      return false;
    }
  }

  /** And then everything again, whatever came meanwhile. */
  private rest(ms: number, plan: () => Plan | undefined): void {
    const { signal } = this.stopping;
    this.resting = this.options.clock.sleep(ms, signal).then(() => {
      this.resting = undefined;
      if (!signal.aborted) this.running ??= this.clean(plan);
    });
  }
}
