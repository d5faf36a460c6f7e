/** What iptables holds of ours in one family, against what it should hold: read, compared, and noted as it is written. */
import type { DeltaTracker } from '../delta/delta-tracker';
import { sharedChain } from './known-chains';
import type { SavedTables } from './parse-save';
import { type Jump, printStep, type Step, type TableName, tableNames } from './rules';
import type { KernelTables } from './kernel-tables';

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
    const jumps: JumpWrites = { added: [], removed: [] };
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
    const wanted = new Set(this.desired.jumps.map(jumpKey));
    this.seenJumps = withAdded(withoutEach(saved.jumps, jumps.removed, wanted), jumps.added);
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
      const gone = staleJumps.map(jumpKey);
      this.seenJumps = [...withoutEach(this.seenJumps, gone), ...jumps];
      for (const { added, removed } of this.jumpReads) {
        added.push(...jumps);
        removed.push(...gone);
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
    const kept = new Set<string>();
    // One of each is kept: whoever cannot see a jump inserts it once more.
    const isStale = (jump: Jump): boolean => {
      const key = jumpKey(jump);
      if (wanted.has(key) && !kept.has(key)) {
        kept.add(key);
        return false;
      }
      return wanted.has(key) || !isShared(jump);
    };
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
  /** Keys; of several jumps that are alike each has its own. */
  readonly removed: string[];
}

function jumpKey({ table, from, rule }: Jump): string {
  return `${table} ${from} ${rule}`;
}

function isShared({ rule }: Jump): boolean {
  return rule.endsWith(`-j ${sharedChain}`);
}

/** Of jumps that are alike as many go as are named; one of each that is wanted stays, since of those only the doubles were removed. */
function withoutEach(jumps: readonly Jump[], keys: readonly string[], wanted: ReadonlySet<string> = new Set()): Jump[] {
  const kept = new Set<string>();
  const left = new Map<string, number>();
  for (const key of keys) left.set(key, (left.get(key) ?? 0) + 1);
  return jumps.filter((jump) => {
    const key = jumpKey(jump);
    const count = left.get(key) ?? 0;
    left.set(key, count - 1);
    if (count > 0 && (!wanted.has(key) || kept.has(key))) return false;
    kept.add(key);
    return true;
  });
}

/** The read may have seen what was inserted while it went on, or not. */
function withAdded(jumps: readonly Jump[], added: readonly Jump[]): Jump[] {
  const seen = new Set(jumps.map(jumpKey));
  return [...jumps, ...added.filter((jump) => !seen.has(jumpKey(jump)))];
}
