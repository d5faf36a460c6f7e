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

export class KernelRules {
  missingJumps: readonly Jump[] = [];
  /** To our chains, and wanted no more. */
  staleJumps: readonly Jump[] = [];
  /** Chains of ours that chains of others jump to: the kernel refuses to delete them. */
  usedByOthers: ReadonlySet<string> = new Set();
  private seenJumps: readonly Jump[] = [];
  /** Of reads that are under way: what was written of jumps since. */
  private readonly jumpReads = new Set<JumpWrites>();
  private readsBegun = 0;
  private lastRead = 0;

  constructor(
    private readonly desired: DesiredRules,
    private readonly kernel: KernelTables,
  ) {}

  /** Nothing is to be written. */
  get isSettled(): boolean {
    const { missingJumps, staleJumps, desired } = this;
    return missingJumps.length + staleJumps.length === 0 && tableNames.every((table) => desired.tables[table].inSync);
  }

  /** As Backend.read. May go on beside writes. */
  async read(): Promise<boolean> {
    const number = ++this.readsBegun;
    const { tables } = this.desired;
    const jumps: JumpWrites = { added: [], removed: new Set() };
    const reads = tableNames.map((table) => [table, tables[table].beginRead()] as const);
    this.jumpReads.add(jumps);
    let saved: SavedTables;
    try {
      saved = await this.kernel.save();
    } finally {
      for (const [table, read] of reads) tables[table].endRead(read);
      this.jumpReads.delete(jumps);
    }
    // One that began later was quicker.
    if (number < this.lastRead) return false;
    this.lastRead = number;
    const wasSettled = this.isSettled;
    for (const [table, read] of reads) tables[table].replaceObserved(saved.chains[table], read);
    this.seenJumps = [...saved.jumps.filter((jump) => !jumps.removed.has(jumpKey(jump))), ...jumps.added];
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
    for (const { table, chains, appends, deletions, jumps, staleJumps = [] } of step.tables) {
      const tracker = this.desired.tables[table];
      for (const [chain, lines] of [...chains, ...appends]) {
        tracker.setObserved(chain, lines);
        this.forgetEmptied(table, chain);
      }
      for (const chain of deletions) tracker.setObserved(chain, undefined);
      const gone = new Set(staleJumps.map(jumpKey));
      this.seenJumps = [...this.seenJumps.filter((jump) => !gone.has(jumpKey(jump))), ...jumps];
      for (const { added, removed } of this.jumpReads) {
        added.push(...jumps);
        for (const key of gone) removed.add(key);
      }
    }
    this.compareJumps();
  }

  /** The desired jumps may be others now. */
  compareJumps(): void {
    const { jumps } = this.desired;
    const seen = new Set(this.seenJumps.map(jumpKey));
    const wanted = new Set(jumps.map(jumpKey));
    this.missingJumps = jumps.filter((jump) => !seen.has(jumpKey(jump)));
    const isStale = (jump: Jump): boolean => !wanted.has(jumpKey(jump)) && !jump.rule.endsWith(`-j ${sharedChain}`);
    this.staleJumps = jumps.length === 0 ? [] : this.seenJumps.filter(isStale);
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

interface JumpWrites {
  readonly added: Jump[];
  /** Keys. */
  readonly removed: Set<string>;
}

function jumpKey({ table, from, rule }: Jump): string {
  return `${table} ${from} ${rule}`;
}
