/** The Plan of one family, and the backend's rendering of it: both are brought up to date in pieces. */
import type { ServiceKey } from '../model/cluster';
import { finishWithPauses } from '../model/pieces';
import { sameValue } from '../model/same-value';
import type { MutablePlan, Plan, ServicePlan } from '../planner/plan';
import { applyPlanChanges, planChangesInPieces } from '../planner/plan-changes';
import { planClusterInPieces } from '../planner/plan-cluster';
import type { Pause, ReconcilerOptions } from './reconciler-options';
import type { SyncReport } from './sync-report';

/** What the backend has as the desired state. */
type Rendering =
  /** All of one Plan, or nothing yet. */
  | { readonly name: 'complete' }
  /** A state between two Plans: the Services that changed are being rendered. */
  | { readonly name: 'changing' }
  /** A part of a Plan: everything is being rendered from nothing. `ended` resolves however that ends. */
  | { readonly name: 'anew'; readonly ended: Promise<unknown> };

export type RenderedPlanOptions = Pick<ReconcilerOptions<unknown>, 'backend' | 'family' | 'settings' | 'state'>;

export class RenderedPlan {
  readonly #options: RenderedPlanOptions;
  readonly #looks: () => Promise<unknown> | undefined;
  #plan: MutablePlan | undefined;
  #rendering: Rendering = { name: 'complete' };
  /** What the Services that changed since the last successful round were at that round. */
  #before = new Map<ServiceKey, ServicePlan | undefined>();

  /** @param looks gives a promise while the kernel is being looked at; it is asked again when that resolves. */
  constructor(options: RenderedPlanOptions, looks: () => Promise<unknown> | undefined) {
    this.#options = options;
    this.#looks = looks;
  }

  /** undefined: nothing was planned yet. */
  get plan(): Plan | undefined {
    return this.#plan;
  }

  /** What the backend compares with the kernel is all of one Plan. */
  get isComplete(): boolean {
    return this.#rendering.name === 'complete';
  }

  /** While everything is rendered anew, the owner of a thing in the kernel cannot be told: resolves when that has ended. */
  get renderedAnew(): Promise<unknown> | undefined {
    return this.#rendering.name === 'anew' ? this.#rendering.ended : undefined;
  }

  /** Services that changed since the last successful round: what they were then, and what they are now. */
  changes(): Pick<SyncReport, 'before' | 'after'> {
    const before = this.#before;
    const after = new Map([...before.keys()].map((key) => [key, this.#plan?.services.get(key)] as const));
    return { before, after };
  }

  /** A round went well: changes are counted from here on. */
  inForce(): void {
    this.#before = new Map();
  }

  /** @param keys the Services that changed. What changes meanwhile is for the next call. */
  async update(keys: readonly ServiceKey[], pause: Pause): Promise<void> {
    const plan = this.#plan;
    if (plan === undefined) {
      await this.planAnew(pause);
      return;
    }
    const { backend, state } = this.#options;
    const changes = await finishWithPauses(planChangesInPieces(plan, state, keys), pause);
    for (const key of changes.keys()) this.#remember(key, plan.services.get(key));
    applyPlanChanges(plan, changes);
    if (changes.size === 0) return;
    const rendering = finishWithPauses(backend.renderPieces(plan, changes), pause);
    await this.#complete(rendering, { name: 'changing' });
  }

  /** Plans and renders everything from nothing. */
  async planAnew(pause: Pause): Promise<void> {
    const { backend, state, family, settings } = this.#options;
    const old = this.#plan;
    const plan = await finishWithPauses(planClusterInPieces(state, family, settings()), pause);
    for (const key of new Set([...(old?.services.keys() ?? []), ...plan.services.keys()])) {
      if (!sameValue(old?.services.get(key), plan.services.get(key))) this.#remember(key, old?.services.get(key));
      const turn = pause();
      if (turn !== undefined) await turn;
    }
    this.#plan = plan;
    // From the last answer to the start of the rendering nothing is awaited, so that no look begins in between.
    for (let looks = this.#looks(); looks !== undefined; looks = this.#looks()) await looks;
    const rendering = finishWithPauses(backend.renderPieces(plan), pause);
    await this.#complete(rendering, { name: 'anew', ended: rendering.catch(() => undefined) });
  }

  async #complete(work: Promise<void>, rendering: Rendering): Promise<void> {
    this.#rendering = rendering;
    try {
      await work;
    } finally {
      this.#rendering = { name: 'complete' };
    }
  }

  #remember(key: ServiceKey, plan: ServicePlan | undefined): void {
    if (!this.#before.has(key)) this.#before.set(key, plan);
  }
}
