/** After a round: deletes the UDP flows that the connection tracker still sends where the Plan no longer does. */
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

type Phase =
  /** Nothing is left to clean up. */
  | { readonly name: 'idle' }
  /** What comes meanwhile is cleaned up after the call in hand. */
  | { readonly name: 'cleaning'; readonly ended: Promise<void> }
  /** A clean-up failed. After the pause another one is tried, with what came meanwhile. */
  | { readonly name: 'resting'; readonly ended: Promise<void> };

/** The frontends whose flows may be stale. 'all': nothing is known about the time before this process. */
type Suspects = Set<UdpFrontend> | 'all';

/** The pause after a failure; each one is twice as long as the one before. */
const pauseMs = { first: 5000, most: 300_000 } as const;

function question(family: Family): string {
  return `which ${family} UDP flows still go to former endpoints`;
}

export class StaleFlowCleaner {
  readonly #options: StaleFlowOptions;
  #suspects: Suspects = 'all';
  #phase: Phase = { name: 'idle' };
  #nextPauseMs: number = pauseMs.first;
  /** The machine was found to have no connection tracker, and that was said. */
  #isUnavailable = false;
  readonly #stopping = new AbortController();

  constructor(options: StaleFlowOptions) {
    this.#options = options;
  }

  /** Returns at once; what comes while a clean-up runs is judged after it. What fails is tried again later. */
  synced(report: SyncReport, plan: () => Plan | undefined): void {
    if (this.#suspects !== 'all')
      for (const [key, before] of report.before) this.#suspect(diffUdpFrontends(before, report.after.get(key)));
    if (this.#phase.name === 'idle') this.#begin(plan);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    while (this.#phase.name !== 'idle') await this.#phase.ended;
  }

  #suspect(more: Iterable<UdpFrontend> | 'all'): void {
    if (more === 'all') this.#suspects = 'all';
    else if (this.#suspects !== 'all') for (const frontend of more) this.#suspects.add(frontend);
  }

  #begin(plan: () => Plan | undefined): void {
    // In a later turn of the microtask queue, so that a clean-up that has nothing to do ends after this phase began.
    this.#phase = { name: 'cleaning', ended: Promise.resolve().then(() => this.#clean(plan)) };
  }

  /** Until nothing is left, or a call fails. */
  async #clean(source: () => Plan | undefined): Promise<void> {
    for (;;) {
      const plan = source();
      const suspects = this.#suspects;
      if (this.#stopping.signal.aborted || plan === undefined || (suspects !== 'all' && suspects.size === 0)) {
        // Nothing was awaited since the look at what is left: the next report begins anew.
        this.#phase = { name: 'idle' };
        return;
      }
      this.#suspects = new Set();
      const restMs = await this.#cleanOnce(suspects, plan);
      if (restMs === undefined) continue;
      this.#phase = { name: 'resting', ended: this.#rest(restMs, source) };
      return;
    }
  }

  /** Resolves with how long to rest when it failed; then these frontends stay suspect. */
  async #cleanOnce(suspects: Suspects, plan: Plan): Promise<number | undefined> {
    const { family, conntrack, nodeAddresses, log, questions, onCleaned } = this.#options;
    const filter = planStaleFlows(suspects, plan, nodeAddresses());
    if (filter.ports.size === 0) return undefined;
    const startedMs = performance.now();
    try {
      const flows = await conntrack.deleteUdpFlows(family, filter);
      const durationMs = performance.now() - startedMs;
      onCleaned(family, flows, durationMs);
      this.#nextPauseMs = pauseMs.first;
      this.#isUnavailable = false;
      questions.answered(question(family));
      if (flows > 0) log.info({ family, flows, ms: Math.round(durationMs) }, 'deleted stale UDP flows');
      return undefined;
    } catch (error) {
      const isUnavailable = error instanceof ConntrackUnavailableError;
      // While a machine has no connection tracker to ask, nothing is remembered. Its module may be loaded later.
      this.#suspect(isUnavailable ? 'all' : suspects);
      if (!isUnavailable) questions.unanswered(question(family), unknown(error));
      else if (!this.#isUnavailable)
        log.warn({ family, reason: error.message }, 'stale UDP flows cannot be deleted on this machine');
      this.#isUnavailable = isUnavailable;
      const restMs = isUnavailable ? pauseMs.most : this.#nextPauseMs;
      this.#nextPauseMs = Math.min(pauseMs.most, 2 * this.#nextPauseMs);
      return restMs;
    }
  }

  async #rest(ms: number, plan: () => Plan | undefined): Promise<void> {
    const { signal } = this.#stopping;
    await this.#options.clock.sleep(ms, signal);
    if (signal.aborted) this.#phase = { name: 'idle' };
    else this.#begin(plan);
  }
}
