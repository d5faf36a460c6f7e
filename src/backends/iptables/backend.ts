import type { Family } from '../../model/address';
import { finish, type Pieces } from '../../model/pieces';
import type { Plan, PlanChanges } from '../../planner/plan';
import { KernelRules } from '../../xtables/kernel-rules';
import { addJumps, countRules, printStep, type Step, type TableName } from '../../xtables/rules';
import type { KernelTables } from '../../xtables/kernel-tables';
import type { Backend, BatchSize } from '../backend';
import type { IptablesSettings } from './settings';
import { RuleSet } from './desired-state';
import { chainsPerCall, planSteps } from './diff';

export class IptablesBackend implements Backend<readonly Step[]> {
  readonly rules: RuleSet;
  readonly #kernel: KernelRules;
  readonly #tables: KernelTables;

  constructor(
    readonly family: Family,
    settings: IptablesSettings,
    tables: KernelTables,
  ) {
    this.#tables = tables;
    this.rules = new RuleSet(family, settings);
    this.#kernel = new KernelRules(this.rules, tables);
  }

  render(plan: Plan): void {
    finish(this.renderPieces(plan));
  }

  renderChanges(plan: Plan, changes: PlanChanges): void {
    finish(this.renderPieces(plan, changes));
  }

  *renderPieces(plan: Plan, changes?: PlanChanges): Pieces<void> {
    if (changes !== undefined) {
      yield* this.rules.renderChangesInPieces(plan, changes);
      return;
    }
    yield* this.rules.renderInPieces(plan);
    this.#kernel.compareJumps();
  }

  diff(): readonly Step[] | undefined {
    if (this.#kernel.isSettled) return undefined;
    return planSteps(this.rules, this.#kernel, chainsPerCall[this.#tables.variant]);
  }

  print(steps: readonly Step[]): string {
    return steps.map(printStep).join('');
  }

  size(steps: readonly Step[]): BatchSize {
    let bytes = 0;
    for (const { chains, appends, deletions, jumps } of steps.flatMap(({ tables }) => tables)) {
      for (const [chain, lines] of [...chains, ...appends]) bytes += lines.length + chain.length + 10;
      for (const { rule } of jumps) bytes += rule.length + 16;
      for (const chain of deletions) bytes += 2 * chain.length + 14;
    }
    return { ...countRules(steps), bytes, steps: steps.length };
  }

  read(): Promise<boolean> {
    return this.#kernel.read();
  }

  async apply(steps: readonly Step[], signal?: AbortSignal): Promise<void> {
    for (const step of steps) {
      if (signal?.aborted === true) return;
      await this.#kernel.write(step);
    }
  }

  assumeApplied(steps: readonly Step[]): void {
    for (const step of steps) this.#kernel.noteWritten(step);
  }

  ruleCounts(): Readonly<Record<TableName, number>> {
    return addJumps(this.rules.ruleCounts, this.rules.jumps);
  }
}
