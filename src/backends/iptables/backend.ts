import type { Family } from '../../model/address';
import { finish, type Pieces } from '../../model/pieces';
import type { Plan, PlanChanges } from '../../planner/plan';
import { KernelRules } from '../../xtables/kernel-rules';
import { countLines, type KernelTables, printStep, type Step, type TableName, tableNames } from '../../xtables/rules';
import type { Backend, BatchSize } from '../backend';
import type { IptablesSettings } from './fixed-chains';
import { RuleSet } from './rule-set';
import { chainsPerCall, planSteps } from './steps';

export class IptablesBackend implements Backend<readonly Step[]> {
  readonly rules: RuleSet;
  private readonly kernel: KernelRules;

  constructor(
    readonly family: Family,
    settings: IptablesSettings,
    private readonly tables: KernelTables,
  ) {
    this.rules = new RuleSet(family, settings);
    this.kernel = new KernelRules(this.rules, tables);
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
    this.kernel.compareJumps();
  }

  diff(): readonly Step[] | undefined {
    if (this.kernel.isSettled) return undefined;
    return planSteps(this.rules, this.kernel, chainsPerCall[this.tables.variant]);
  }

  print(steps: readonly Step[]): string {
    return steps.map(printStep).join('');
  }

  size(steps: readonly Step[]): BatchSize {
    const rules = { nat: 0, filter: 0, mangle: 0 };
    let bytes = 0;
    for (const { table, chains, appends, deletions, jumps } of steps.flatMap(({ tables }) => tables)) {
      rules[table] += jumps.length;
      for (const [chain, lines] of [...chains, ...appends]) {
        rules[table] += countLines(lines);
        bytes += lines.length + chain.length + 10;
      }
      for (const { rule } of jumps) bytes += rule.length + 16;
      for (const chain of deletions) bytes += 2 * chain.length + 14;
    }
    const tables = tableNames.filter((name) => steps.some((step) => step.tables.some(({ table }) => table === name)));
    return { rules, bytes, tables, steps: steps.length };
  }

  read(): Promise<boolean> {
    return this.kernel.read();
  }

  async apply(steps: readonly Step[], signal?: AbortSignal): Promise<void> {
    for (const step of steps) {
      if (signal?.aborted === true) return;
      await this.kernel.write(step);
    }
  }

  assumeApplied(steps: readonly Step[]): void {
    for (const step of steps) this.kernel.noteWritten(step);
  }

  ruleCounts(): Readonly<Record<TableName, number>> {
    const counts = { ...this.rules.ruleCounts };
    for (const { table } of this.rules.jumps) counts[table]++;
    return counts;
  }
}
