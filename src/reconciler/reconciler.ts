/**
 * The loop of one IP family: takes what changed, plans it, and has the backend write the difference. Only the loop retries.
 * It works from states, not from history: a round that fails loses nothing, since the next one compares what is desired with
 * what the kernel is then seen to hold.
 */
import type { ServiceKey } from '../model/cluster';
import type { Plan } from '../planner/plan';
import { KernelLooks } from './kernel-looks';
import type { ReconcilerOptions } from './reconciler-options';
import { RenderedPlan } from './rendered-plan';
import { Round, type RoundTools } from './round';
import { planNextRound } from './schedule';
import type { FullReason } from './sync-report';
import { TriggerTimes } from './trigger-times';

/** The life of a loop. It may be stopped in any phase: then the phase stays, and a round in hand ends after its call in hand. */
type Phase =
  /** The source is not in sync: what comes is kept for the first round. */
  | { readonly name: 'not started' }
  /** The last round went well, and nothing came since it began. */
  | { readonly name: 'idle' }
  /** There is something to do, at a later time. */
  | { readonly name: 'waiting'; readonly wait: AbortController }
  /** It is time, and another family may be in its round. What comes now is still in this round. */
  | { readonly name: 'queued' }
  /** What comes now is for the next round. */
  | { readonly name: 'in a round'; hasMore: boolean };

/** How the last round ended. */
interface LastRound {
  readonly endedMs: number;
  /** Rounds that failed one after the other, up to this one. 0: it went well. */
  readonly failures: number;
}

export class Reconciler<Batch> {
  readonly #options: ReconcilerOptions<Batch>;
  readonly #rendered: RenderedPlan;
  readonly #looks: KernelLooks;
  readonly #roundTools: RoundTools<Batch>;
  readonly #triggers = new TriggerTimes();
  readonly #changed = new Set<ServiceKey>();
  /** Why the next round is a full one. Empty: it is not. */
  #reasons = new Set<FullReason>(['start']);
  #phase: Phase = { name: 'not started' };
  /** undefined: there was no round yet. */
  #lastRound: LastRound | undefined;
  /** The kernel was read before the first round. */
  #hasReadAhead = false;
  readonly #stopping = new AbortController();

  constructor(options: ReconcilerOptions<Batch>) {
    this.#options = options;
    this.#rendered = new RenderedPlan(options, () => this.#looks.underWay);
    this.#looks = new KernelLooks(options.backend, () => this.#rendered.renderedAnew);
    this.#roundTools = {
      options,
      rendered: this.#rendered,
      looks: this.#looks,
      triggers: this.#triggers,
      takeChanged: () => this.#takeChanged(),
      stopping: this.#stopping.signal,
    };
  }

  /** The Plan that is in force or on its way; undefined before the first round. */
  get currentPlan(): Plan | undefined {
    return this.#rendered.plan;
  }

  /** Looks at the kernel while the source still lists, so that the first round need not. Errors are left to that round. */
  async readAhead(): Promise<void> {
    try {
      await this.#options.queue.add(() => this.#options.backend.read());
      this.#hasReadAhead = true;
    } catch {
      this.#hasReadAhead = false;
    }
  }

  /** The source is in sync: rounds may begin. */
  start(): void {
    if (this.#phase.name === 'not started') this.#phase = { name: 'idle' };
    this.#hasWork();
  }

  /** @param triggerTimesMs when the changes behind this were made, in milliseconds since the epoch. */
  servicesChanged(keys: Iterable<ServiceKey>, triggerTimesMs: ReadonlyMap<ServiceKey, readonly number[]>): void {
    for (const key of keys) this.#changed.add(key);
    this.#triggers.add(triggerTimesMs);
    this.#hasWork();
  }

  /** The NodeSettings are others now: everything is planned anew. */
  settingsChanged(): void {
    this.#demand('settings');
  }

  /**
   * Somebody else may have written: everything is compared with the kernel, beside the rounds, since a look may take long.
   * Resolves with false when it was not compared, and should be asked for again. Rejects when the kernel cannot be read.
   */
  async checkKernel(): Promise<boolean> {
    // After a failure a round looks by itself, at its own time. One that is under way may have looked already.
    if (!this.#wentWell() || this.#isStopping()) return false;
    await this.#looks.look();
    // Also what a round that is under way did not know when it compared. One that has yet to compare will do so.
    if (this.#rendered.isComplete && this.#options.backend.diff() !== undefined) this.#demand('drift');
    return this.#wentWell();
  }

  /** Backend.tend, between two rounds. */
  async tend(): Promise<void> {
    const { backend, queue, dryRun } = this.#options;
    if (this.#lastRound === undefined || this.#isStopping() || dryRun === true) return;
    await queue.add(async () => backend.tend?.());
  }

  /** Ends after the call in hand. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    if (this.#phase.name === 'waiting') this.#phase.wait.abort();
    await this.#options.queue.onIdle();
  }

  /** There was a round, and the last one did not fail. */
  #wentWell(): boolean {
    return this.#lastRound?.failures === 0;
  }

  #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  #takeChanged(): readonly ServiceKey[] {
    const changed = [...this.#changed];
    this.#changed.clear();
    return changed;
  }

  #demand(reason: FullReason): void {
    this.#reasons.add(reason);
    this.#hasWork();
  }

  /** Something came. */
  #hasWork(): void {
    const phase = this.#phase;
    if (phase.name === 'not started' || this.#isStopping()) return;
    this.#options.onQueued();
    switch (phase.name) {
      case 'in a round':
        phase.hasMore = true;
        break;
      case 'idle':
      case 'waiting':
        this.#schedule(true);
        break;
      case 'queued':
        break;
      default:
        phase satisfies never;
    }
  }

  /** @param hasWork something came since the last round began. */
  #schedule(hasWork: boolean): void {
    if (this.#phase.name === 'waiting') this.#phase.wait.abort();
    const { clock, schedule } = this.#options;
    const { endedMs: lastEndedMs, failures = 0 } = this.#lastRound ?? {};
    const waitMs = planNextRound({ lastEndedMs, failures, hasWork }, schedule(), clock.now());
    if (waitMs === undefined) {
      this.#phase = { name: 'idle' };
      return;
    }
    const wait = new AbortController();
    this.#phase = { name: 'waiting', wait };
    const begin = (): void => {
      if (wait.signal.aborted || this.#isStopping()) return;
      this.#phase = { name: 'queued' };
      void this.#options.queue.add(() => this.#round());
    };
    // Without a timer: what happens in the rest of this turn of the event loop is in the round all the same.
    if (waitMs === 0) queueMicrotask(begin);
    else void clock.sleep(waitMs, wait.signal).then(begin);
  }

  async #round(): Promise<void> {
    const phase: Extract<Phase, { name: 'in a round' }> = { name: 'in a round', hasMore: false };
    this.#phase = phase;
    const reasons = this.#reasons;
    this.#reasons = new Set();
    const round = new Round(this.#roundTools, reasons);
    let failures = this.#lastRound?.failures ?? 0;
    try {
      if (!this.#isStopping()) {
        const report = await round.run(this.#hasReadAhead);
        failures = 0;
        if (report !== undefined) this.#options.onSynced(report);
        // The update that onSynced called done is pending again.
        if (this.#reasons.size > 0) this.#hasWork();
      }
    } catch (error) {
      failures++;
      this.#failed(error, round, { reasons, failures });
    }
    this.#lastRound = { endedMs: this.#options.clock.now(), failures };
    if (!this.#isStopping()) this.#schedule(phase.hasMore);
  }

  /** The next round reads and plans everything anew. */
  #failed(error: unknown, round: Round<Batch>, of: { reasons: ReadonlySet<FullReason>; failures: number }): void {
    const { family, onFailed } = this.#options;
    for (const reason of of.reasons) this.#reasons.add(reason);
    this.#reasons.add('retry');
    const { isWriting: isWrite, durationMs } = round;
    onFailed({ family, error, full: of.reasons.size > 0, isWrite, durationMs, failures: of.failures });
  }
}
