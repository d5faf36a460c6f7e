/** One round: takes up what changed, plans it, and has the backend write the difference. */
import type { BatchSize } from '../backends/backend';
import type { ServiceKey } from '../model/cluster';
import { finishWithPauses } from '../model/pieces';
import type { KernelLooks } from './kernel-looks';
import type { Pause, ReconcilerOptions } from './reconciler-options';
import type { RenderedPlan } from './rendered-plan';
import type { FullReason, SyncReport } from './sync-report';
import { timeSlices } from '../model/time-slice';
import type { TriggerTimes } from './trigger-times';

/** What a round works with: it belongs to the loop, and stays from round to round. */
export interface RoundTools<Batch> {
  readonly options: ReconcilerOptions<Batch>;
  readonly rendered: RenderedPlan;
  readonly looks: KernelLooks;
  readonly triggers: TriggerTimes;
  /** Takes the Services that changed, once the kernel is known. */
  readonly takeChanged: () => readonly ServiceKey[];
  /** The loop is being stopped: the round ends after the call in hand. */
  readonly stopping: AbortSignal;
}

/** What is to be written, and how much that is. */
interface Comparison<Batch> {
  readonly batch?: Batch | undefined;
  readonly written?: BatchSize | undefined;
}

export class Round<Batch> {
  readonly #tools: RoundTools<Batch>;
  readonly #reasons: ReadonlySet<FullReason>;
  readonly #startedMs = performance.now();
  #kernelMs = 0;
  #step: 'preparing' | 'writing' = 'preparing';

  constructor(tools: RoundTools<Batch>, reasons: ReadonlySet<FullReason>) {
    this.#tools = tools;
    this.#reasons = reasons;
  }

  /** It has come to where the kernel is written to: what fails from here on is a failed write. */
  get isWriting(): boolean {
    return this.#step === 'writing';
  }

  get durationMs(): number {
    return performance.now() - this.#startedMs;
  }

  /**
   * Returns undefined when it was stopped between two calls.
   *
   * @param isKernelKnown the kernel was read, and nothing was written since.
   */
  async run(isKernelKnown: boolean): Promise<SyncReport | undefined> {
    const { options, rendered, looks, triggers, takeChanged } = this.#tools;
    const { backend, family, onWarning } = options;
    const reasons = this.#reasons;
    if ((reasons.has('start') && !isKernelKnown) || reasons.has('retry')) await this.#inKernel(() => backend.read());
    const triggersInHand = triggers.begin();
    const pause = options.pauses?.() ?? timeSlices();
    const changed = takeChanged();
    // After a failure nothing that was worked out before is relied on.
    if (reasons.has('settings') || reasons.has('retry')) await rendered.planAnew(pause);
    else await rendered.update(changed, pause);
    if (this.#mustEnd()) return undefined;
    for (const warning of backend.takeWarnings?.() ?? []) onWarning?.(warning);
    const changes = rendered.changes();
    const { batch, written } = await this.#compare(pause);
    if (batch !== undefined) await this.#write(batch);
    if (this.#mustEnd() && backend.diff() !== undefined) return undefined;
    const report: SyncReport = {
      family,
      triggerTimesMs: triggersInHand.end(changes.after),
      reasons,
      ...changes,
      written,
      ownMs: this.durationMs - this.#kernelMs,
      kernelMs: this.#kernelMs,
      drifted: looks.foundDrift,
    };
    looks.repaired();
    rendered.inForce();
    return report;
  }

  /** A dry run touches nothing, and is always carried to its end. */
  #mustEnd(): boolean {
    const { options, stopping } = this.#tools;
    return stopping.aborted && options.dryRun !== true;
  }

  async #inKernel(work: () => Promise<unknown>): Promise<void> {
    const fromMs = performance.now();
    await work();
    this.#kernelMs += performance.now() - fromMs;
  }

  async #compare(pause: Pause): Promise<Comparison<Batch>> {
    const { options, looks } = this.#tools;
    const { backend } = options;
    const { ended } = looks;
    const batch = backend.diffPieces ? await finishWithPauses(backend.diffPieces(), pause) : backend.diff();
    if (batch === undefined && ended === looks.ended) return {};
    const written =
      batch && (backend.sizePieces ? await finishWithPauses(backend.sizePieces(batch), pause) : backend.size(batch));
    if (ended === looks.ended) return { batch, written };
    // A batch says what is in force once it is written: it would hide what a look found after the comparison began.
    const anew = backend.diff();
    return { batch: anew, written: anew && backend.size(anew) };
  }

  async #write(batch: Batch): Promise<void> {
    const { options, stopping } = this.#tools;
    const { backend, onBatch, dryRun } = options;
    onBatch?.(() => backend.print(batch));
    if (dryRun === true) {
      backend.assumeApplied(batch);
      return;
    }
    this.#step = 'writing';
    await this.#inKernel(() => backend.apply(batch, stopping));
  }
}
