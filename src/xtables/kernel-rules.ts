/** What iptables holds of ours in one family, against what it should hold: read, compared, and noted as it is written. */
import type { DeltaTracker } from '../delta/delta-tracker';
import { sharedChain } from './known-chains';
import type { SavedTables } from './parse-save';
import { type Jump, type KernelTables, printStep, type Step, type TableName, tableNames } from './rules';

/** What a mode wants of iptables. Chain -> its `-A` lines, joined by newlines. */
export interface DesiredRules {
  readonly tables: Readonly<Record<TableName, DeltaTracker<string, string>>>;
  readonly jumps: readonly Jump[];
}

/** What was written since a read began: what that finds of it may be from before. */
interface WrittenMeanwhile {
  readonly chains: ReadonlyMap<TableName, Set<string>>;
  readonly jumps: Jump[];
}

export class KernelRules {
  missingJumps: readonly Jump[] = [];
  /** Chains of ours that chains of others jump to: the kernel refuses to delete them. */
  usedByOthers: ReadonlySet<string> = new Set();
  private seenJumps: readonly Jump[] = [];
  /** Reads that are under way. */
  private readonly reading = new Set<WrittenMeanwhile>();
  private readsBegun = 0;
  private lastRead = 0;

  constructor(
    private readonly desired: DesiredRules,
    private readonly kernel: KernelTables,
  ) {}

  /** Nothing is to be written. */
  get isSettled(): boolean {
    return this.missingJumps.length === 0 && tableNames.every((table) => this.desired.tables[table].inSync);
  }

  /** As Backend.read. May go on beside writes. */
  async read(): Promise<boolean> {
    const number = ++this.readsBegun;
    const written: WrittenMeanwhile = { chains: new Map(tableNames.map((table) => [table, new Set()])), jumps: [] };
    this.reading.add(written);
    let saved: SavedTables;
    try {
      saved = await this.kernel.save();
    } finally {
      this.reading.delete(written);
    }
    // One that began later was quicker.
    if (number < this.lastRead) return false;
    this.lastRead = number;
    const wasSettled = this.isSettled;
    for (const table of tableNames) {
      const tracker = this.desired.tables[table];
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
    return wasSettled && !this.isSettled;
  }

  /** Throws where the tool does: what of the step is in force is unknown then. */
  async write(step: Step): Promise<void> {
    await this.kernel.restore(printStep(step));
    this.noteWritten(step);
  }

  /** Goes on as if the step had been written. */
  noteWritten(step: Step): void {
    for (const { table, chains, appends, deletions, jumps } of step.tables) {
      const tracker = this.desired.tables[table];
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

  /** The desired jumps may be others now. */
  compareJumps(): void {
    const key = ({ table, from, rule }: Jump): string => `${table} ${from} ${rule}`;
    const seen = new Set(this.seenJumps.map(key));
    this.missingJumps = this.desired.jumps.filter((jump) => !seen.has(key(jump)));
    // The chain that the kubelet shares is left where it stands when nothing here needs it any more.
    const { filter } = this.desired.tables;
    if (this.desired.jumps.length > 0 && filter.getDesired(sharedChain) === undefined)
      filter.setObserved(sharedChain, undefined);
  }

  /** A chain of no more use that others jump to stays, empty. */
  private forgetEmptied(table: TableName, chain: string): void {
    const tracker = this.desired.tables[table];
    if (tracker.getDesired(chain) === undefined && tracker.getObserved(chain) === '')
      tracker.setObserved(chain, undefined);
  }
}
