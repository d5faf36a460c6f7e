import type { Family } from '../../model/address';
import type { Plan, PlanChanges } from '../../planner/plan';
import type { Backend, BatchSize } from '../backend';
import { type IptablesSettings, type Jump, sharedChain, type TableName, tableNames } from './fixed-chains';
import type { SavedTables } from './parse-save';
import { countLines, RuleSet } from './rule-set';
import { chainsPerCall, planSteps, printStep, type Step } from './steps';
import type { Variant } from './variant';

/** What of the machine this backend needs: a driver, or nothing but memory in a dry run. */
export interface IptablesTables {
  readonly variant: Variant;
  /** Throws where the tables cannot be read. */
  save(): Promise<SavedTables>;
  /** One call of iptables-restore --noflush: all of a table's part or nothing. */
  restore(input: string): Promise<void>;
  /** Cheap: whether no table was flushed. */
  canariesStand(): Promise<boolean>;
}

/** What was written since a read began: what that finds of it may be from before. */
interface WrittenMeanwhile {
  readonly chains: ReadonlyMap<TableName, Set<string>>;
  readonly jumps: Jump[];
}

export class IptablesBackend implements Backend<readonly Step[]> {
  readonly rules: RuleSet;
  private missingJumps: readonly Jump[] = [];
  private seenJumps: readonly Jump[] = [];
  private usedByOthers: ReadonlySet<string> = new Set();
  /** Reads that are under way. */
  private readonly reading = new Set<WrittenMeanwhile>();
  private readsBegun = 0;
  private lastRead = 0;

  constructor(
    readonly family: Family,
    settings: IptablesSettings,
    private readonly tables: IptablesTables,
  ) {
    this.rules = new RuleSet(family, settings);
  }

  render(plan: Plan): void {
    this.rules.render(plan);
    this.compareJumps();
  }

  renderChanges(plan: Plan, changes: PlanChanges): void {
    this.rules.renderChanges(plan, changes);
  }

  diff(): readonly Step[] | undefined {
    if (this.isSettled()) return undefined;
    return planSteps(this.rules, this.missingJumps, chainsPerCall[this.tables.variant], this.usedByOthers);
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

  async read(): Promise<boolean> {
    const number = ++this.readsBegun;
    const written: WrittenMeanwhile = { chains: new Map(tableNames.map((table) => [table, new Set()])), jumps: [] };
    this.reading.add(written);
    let saved: SavedTables;
    try {
      saved = await this.tables.save();
    } finally {
      this.reading.delete(written);
    }
    // One that began later was quicker.
    if (number < this.lastRead) return false;
    this.lastRead = number;
    const wasSettled = this.isSettled();
    for (const table of tableNames) {
      const tracker = this.rules.tables[table];
      const found = saved.chains[table];
      for (const chain of written.chains.get(table) ?? []) {
        const lines = tracker.getObserved(chain);
        if (lines === undefined) found.delete(chain);
        else found.set(chain, lines);
      }
      tracker.replaceObserved(found);
    }
    this.seenJumps = [...saved.jumps, ...written.jumps];
    this.usedByOthers = saved.usedByOthers;
    for (const table of tableNames) for (const chain of this.usedByOthers) this.forgetEmptied(table, chain);
    this.compareJumps();
    return wasSettled && !this.isSettled();
  }

  async apply(steps: readonly Step[], signal?: AbortSignal): Promise<void> {
    for (const step of steps) {
      if (signal?.aborted === true) return;
      await this.tables.restore(printStep(step));
      this.stepApplied(step);
    }
  }

  assumeApplied(steps: readonly Step[]): void {
    for (const step of steps) this.stepApplied(step);
  }

  ruleCounts(): Readonly<Record<TableName, number>> {
    const counts = { ...this.rules.ruleCounts };
    for (const { table } of this.rules.jumps) counts[table]++;
    return counts;
  }

  private isSettled(): boolean {
    return this.missingJumps.length === 0 && tableNames.every((table) => this.rules.tables[table].inSync);
  }

  private stepApplied(step: Step): void {
    for (const { table, chains, appends, deletions, jumps } of step.tables) {
      const tracker = this.rules.tables[table];
      for (const written of this.reading) {
        for (const [chain] of [...chains, ...appends]) written.chains.get(table)?.add(chain);
        for (const chain of deletions) written.chains.get(table)?.add(chain);
        written.jumps.push(...jumps);
      }
      for (const [chain, lines] of [...chains, ...appends]) {
        tracker.setObserved(chain, lines);
        this.forgetEmptied(table, chain);
      }
      for (const chain of deletions) tracker.setObserved(chain, undefined);
      this.seenJumps = [...this.seenJumps, ...jumps];
    }
    this.compareJumps();
  }

  /** A chain of no more use that others jump to stays, empty. */
  private forgetEmptied(table: TableName, chain: string): void {
    const tracker = this.rules.tables[table];
    if (tracker.getDesired(chain) === undefined && tracker.getObserved(chain) === '')
      tracker.setObserved(chain, undefined);
  }

  private compareJumps(): void {
    const key = ({ table, from, rule }: Jump): string => `${table} ${from} ${rule}`;
    const seen = new Set(this.seenJumps.map(key));
    this.missingJumps = this.rules.jumps.filter((jump) => !seen.has(key(jump)));
    // The chain that the kubelet shares is left where it stands when nothing here needs it any more.
    const { filter } = this.rules.tables;
    if (this.rules.jumps.length > 0 && filter.getDesired(sharedChain) === undefined)
      filter.setObserved(sharedChain, undefined);
  }
}
