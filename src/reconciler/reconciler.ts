/**
 * The loop of one IP family: takes what changed, plans it, and has the backend write the difference. It alone retries.
 * State, not history: a round that fails loses nothing, since the next one compares what is desired with what the kernel
 * is then seen to hold.
 */
import type { ServiceKey } from '../model/cluster';
import { finishWithPauses } from '../model/pieces';
import { sameValue } from '../model/same-value';
import type { MutablePlan, Plan, ServicePlan } from '../planner/plan';
import { applyPlanChanges, planChangesInPieces } from '../planner/plan-changes';
import { planClusterInPieces } from '../planner/plan-cluster';
import type { Comparison, FullReason, Pause, ReconcilerOptions } from './reconciler-options';
import { planNextRound } from './schedule';
import type { SyncReport } from './sync-report';
import { timeSlices } from './time-slice';
import { TriggerTimes } from './trigger-times';

export class Reconciler<Batch> {
  private plan: MutablePlan | undefined;
  private readonly changed = new Set<ServiceKey>();
  private readonly triggers = new TriggerTimes();
  /** Plans at the last successful round, of services that changed since. */
  private before = new Map<ServiceKey, ServicePlan | undefined>();
  private reasons = new Set<FullReason>(['start']);
  /** Something came since the last round began. */
  private hasWork = false;
  private started = false;
  private hasRead = false;
  private isWriting = false;
  /** What is desired is between two states. */
  private isRendering = false;
  /** Of a rendering from nothing that is under way. */
  private renderedAnew: Promise<void> | undefined;
  /** Looks at the kernel that are under way. */
  private readonly reads = new Set<Promise<void>>();
  private looksEnded = 0;
  /** Somebody else changed our rules, and that is not put right yet. */
  private hasDrifted = false;
  private lastEndedMs: number | undefined;
  private failures = 0;
  private timer: { readonly abort: AbortController } | undefined;
  private running = false;
  private readonly stopping = new AbortController();

  constructor(private readonly options: ReconcilerOptions<Batch>) {}

  /** The Plan in force or on its way; undefined before the first round. */
  get currentPlan(): Plan | undefined {
    return this.plan;
  }

  /** Looks at the kernel while the source still lists, so that the first round need not. Errors are left to that round. */
  async readAhead(): Promise<void> {
    try {
      await this.options.queue.add(() => this.options.backend.read());
      this.hasRead = true;
    } catch {
      this.hasRead = false;
    }
  }

  /** The source is in sync: rounds may begin. */
  start(): void {
    this.started = true;
    this.queued();
  }

  /** Trigger times: when the changes behind this were made, milliseconds since the epoch. */
  servicesChanged(keys: Iterable<ServiceKey>, triggerTimesMs: ReadonlyMap<ServiceKey, readonly number[]>): void {
    for (const key of keys) this.changed.add(key);
    this.triggers.add(triggerTimesMs);
    this.queued();
  }

  /** NodeSettings are others now: everything is planned anew. */
  settingsChanged(): void {
    this.demand('settings');
  }

  /**
   * Somebody else may have written: everything is compared with the kernel, beside the rounds, since a look may take long. False: it
   * was not, and should be asked for again. Rejects where the kernel cannot be read.
   */
  async checkKernel(): Promise<boolean> {
    // After a failure a round looks by itself, at its own time. One that is under way may have looked already.
    if (this.lastEndedMs === undefined || this.failures > 0 || this.isStopping()) return false;
    const { backend } = this.options;
    await this.read();
    // Also what a round that is under way did not know when it compared. One that has yet to compare will do so.
    if (!this.isRendering && backend.diff() !== undefined) this.demand('drift');
    return this.failures === 0;
  }

  /** Never while everything is rendered anew: whose a thing in the kernel is can then not be told. */
  private async read(): Promise<void> {
    while (this.renderedAnew !== undefined) await this.renderedAnew;
    const reading = this.options.backend.read();
    const end = (): void => {
      this.looksEnded++;
    };
    const ended = reading.then(end, end);
    this.reads.add(ended);
    try {
      if (await reading) this.hasDrifted = true;
    } finally {
      this.reads.delete(ended);
    }
  }

  /** Backend.tend, between two rounds. */
  async tend(): Promise<void> {
    const { backend, queue, dryRun } = this.options;
    if (this.lastEndedMs === undefined || this.isStopping() || dryRun === true) return;
    await queue.add(async () => backend.tend?.());
  }

  /** Ends after the call in hand. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.timer?.abort.abort();
    await this.options.queue.onIdle();
  }

  private isStopping(): boolean {
    return this.stopping.signal.aborted;
  }

  private demand(reason: FullReason): void {
    this.reasons.add(reason);
    this.queued();
  }

  private queued(): void {
    if (!this.started || this.isStopping()) return;
    this.hasWork = true;
    this.options.onQueued();
    this.schedule();
  }

  private schedule(): void {
    if (this.running) return;
    this.timer?.abort.abort();
    this.timer = undefined;
    const { clock, schedule } = this.options;
    const waitMs = planNextRound(
      { lastEndedMs: this.lastEndedMs, failures: this.failures, hasWork: this.hasWork },
      schedule,
      clock.now(),
    );
    if (waitMs === undefined) return;
    const abort = new AbortController();
    this.timer = { abort };
    const begin = (): void => {
      if (abort.signal.aborted || this.isStopping()) return;
      this.timer = undefined;
      this.running = true;
      void this.options.queue.add(() => this.round());
    };
    // Without a timer: what happened in this turn of the event loop is in the round all the same.
    if (waitMs === 0) queueMicrotask(begin);
    else void clock.sleep(waitMs, abort.signal).then(begin);
  }

  private async round(): Promise<void> {
    const { clock, onSynced, onFailed, family } = this.options;
    const startedMs = performance.now();
    this.isWriting = false;
    const reasons = this.reasons;
    this.reasons = new Set();
    this.hasWork = false;
    const full = reasons.size > 0;
    try {
      if (!this.isStopping()) {
        const report = await this.sync(reasons);
        this.failures = 0;
        if (report !== undefined) onSynced(report);
        if (this.reasons.size > 0) this.queued();
      }
    } catch (error) {
      this.failures++;
      for (const reason of reasons) this.reasons.add(reason);
      this.reasons.add('retry');
      onFailed({
        family,
        error,
        full,
        isWrite: this.isWriting,
        durationMs: performance.now() - startedMs,
        failures: this.failures,
      });
    }
    this.lastEndedMs = clock.now();
    this.running = false;
    if (!this.isStopping()) this.schedule();
  }

  /** undefined where it was stopped between two calls. */
  private async sync(reasons: ReadonlySet<FullReason>): Promise<SyncReport | undefined> {
    const { backend, family, onBatch, dryRun } = this.options;
    let kernelMs = 0;
    const kernel = async (work: () => Promise<unknown>): Promise<void> => {
      const from = performance.now();
      await work();
      kernelMs += performance.now() - from;
    };
    const startedMs = performance.now();
    if ((reasons.has('start') && !this.hasRead) || reasons.has('retry')) await kernel(() => backend.read());
    const triggers = this.triggers.begin();
    // After a failure nothing that was worked out before is relied on.
    const pause = this.options.pauses?.() ?? timeSlices();
    await this.replan(reasons.has('settings') || reasons.has('retry'), pause);
    if (this.isStopping() && dryRun !== true) return undefined;
    for (const warning of backend.takeWarnings?.() ?? []) this.options.onWarning?.(warning);
    const after = new Map([...this.before.keys()].map((key) => [key, this.plan?.services.get(key)] as const));
    const { batch, written } = await this.compare(pause);
    if (batch !== undefined) {
      onBatch?.(() => backend.print(batch));
      if (dryRun === true) backend.assumeApplied(batch);
      else {
        this.isWriting = true;
        await kernel(() => backend.apply(batch, this.stopping.signal));
      }
    }
    if (this.isStopping() && dryRun !== true && backend.diff() !== undefined) return undefined;
    const report: SyncReport = {
      family,
      triggerTimesMs: triggers.end(after),
      full: reasons.size > 0,
      reason: [...reasons].join(' '),
      before: this.before,
      after,
      written,
      ownMs: performance.now() - startedMs - kernelMs,
      kernelMs,
      drifted: this.hasDrifted,
    };
    this.hasDrifted = false;
    this.before = new Map();
    return report;
  }

  private async compare(pause: Pause): Promise<Comparison<Batch>> {
    const { backend } = this.options;
    const looks = this.looksEnded;
    const batch = backend.diffPieces ? await finishWithPauses(backend.diffPieces(), pause) : backend.diff();
    if (batch === undefined && looks === this.looksEnded) return {};
    const written =
      batch && (backend.sizePieces ? await finishWithPauses(backend.sizePieces(batch), pause) : backend.size(batch));
    if (looks === this.looksEnded) return { batch, written };
    // A batch says what is in force once it is written: it would hide what a look found after the comparison began.
    const anew = backend.diff();
    return { batch: anew, written: anew && backend.size(anew) };
  }

  /** In pieces, between which others have their turn. What changes meanwhile is the next round's. */
  private async replan(everything: boolean, pause: Pause): Promise<void> {
    const keys = [...this.changed];
    this.changed.clear();
    try {
      if (everything || this.plan === undefined) await this.planAnew(pause);
      else await this.planThese(this.plan, keys, pause);
    } finally {
      this.isRendering = false;
    }
  }

  private async planAnew(pause: Pause): Promise<void> {
    const { backend, state, family, settings } = this.options;
    const old = this.plan;
    const plan = await finishWithPauses(planClusterInPieces(state, family, settings()), pause);
    for (const key of new Set([...(old?.services.keys() ?? []), ...plan.services.keys()])) {
      if (!sameValue(old?.services.get(key), plan.services.get(key))) this.remember(key, old?.services.get(key));
      const turn = pause();
      if (turn !== undefined) await turn;
    }
    this.plan = plan;
    while (this.reads.size > 0) await Promise.all(this.reads);
    this.isRendering = true;
    const rendering = finishWithPauses(backend.renderPieces(plan), pause);
    this.renderedAnew = rendering.catch(() => undefined);
    try {
      await rendering;
    } finally {
      this.renderedAnew = undefined;
    }
  }

  private async planThese(plan: MutablePlan, keys: readonly ServiceKey[], pause: Pause): Promise<void> {
    const changes = await finishWithPauses(planChangesInPieces(plan, this.options.state, keys), pause);
    for (const key of changes.keys()) this.remember(key, plan.services.get(key));
    applyPlanChanges(plan, changes);
    if (changes.size === 0) return;
    this.isRendering = true;
    await finishWithPauses(this.options.backend.renderPieces(plan, changes), pause);
  }

  private remember(key: ServiceKey, plan: ServicePlan | undefined): void {
    if (!this.before.has(key)) this.before.set(key, plan);
  }
}
