import type { Plan, PlanChanges } from '../planner/plan';

/** What one batch writes, for logs and metrics. */
export interface BatchSize {
  readonly rules: number;
  readonly bytes: number;
}

/**
 * The seam. A backend says a Plan in its own words (render), compares with the kernel (diff), and writes the difference
 * (apply). Everything but read and apply is pure. `diff(render(plan), read())` after apply is empty.
 */
export interface Backend<Desired, Observed, Batch> {
  /** From nothing. The same plan gives the same bytes, whatever the order of its services. */
  render(plan: Plan): Desired;
  /** The same Desired as render(plan) would give, from an older one, at the cost of the services that changed. */
  renderChanges(desired: Desired, plan: Plan, changes: PlanChanges): Desired;
  /** What to write so that the kernel holds Desired; undefined where it does. */
  diff(desired: Desired, observed: Observed): Batch | undefined;
  /** What a dry run shows and a golden file holds. */
  print(batch: Batch): string;
  size(batch: Batch): BatchSize;
  /** What the kernel holds of ours. */
  read(): Promise<Observed>;
  /**
   * Writes the batch in steps that are each right by themselves and returns what the kernel holds then. Throws at the
   * first step that fails; what the kernel holds is then unknown until the next read.
   */
  apply(batch: Batch, observed: Observed): Promise<Observed>;
}
