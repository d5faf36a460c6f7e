/** Our rules in one family's iptables, as they are and as they should be. Reads them, compares them and notes what is written. */
import { DeltaTracker } from '../delta/delta-tracker';
import { sharedChain } from './known-chains';
import type { SavedTables } from './parse-save';
import { type Jump, printStep, type Step, type TableName, tableNames } from './rules';
import type { KernelTables } from './kernel-tables';

/** Chain -> its rules as `-A CHAIN ...` lines, joined by newlines. '' for a chain without rules. */
export type RuleTables = Readonly<Record<TableName, DeltaTracker<string, string>>>;

export function newRuleTables(): RuleTables {
  return { nat: new DeltaTracker(), filter: new DeltaTracker(), mangle: new DeltaTracker() };
}

/** What a mode wants iptables to hold. */
export interface DesiredRules {
  readonly tables: RuleTables;
  readonly jumps: readonly Jump[];
}

export class KernelRules {
  missingJumps: readonly Jump[] = [];
  /** Jumps to our chains that are no longer wanted. */
  staleJumps: readonly Jump[] = [];
  /** Our chains to which other people's chains jump. The kernel refuses to delete them. */
  usedByOthers: ReadonlySet<string> = new Set();
  #seenJumps: readonly Jump[] = [];
  /** For each read that is under way, the jumps written since it began. */
  readonly #jumpReads = new Set<JumpWrites>();
  #readsBegun = 0;
  #lastRead = 0;
  readonly #desired: DesiredRules;
  readonly #kernel: KernelTables;

  constructor(desired: DesiredRules, kernel: KernelTables) {
    this.#desired = desired;
    this.#kernel = kernel;
  }

  /** True when there is nothing to write. */
  get isSettled(): boolean {
    const { missingJumps, staleJumps } = this;
    return (
      missingJumps.length + staleJumps.length === 0 && tableNames.every((table) => this.#desired.tables[table].inSync)
    );
  }

  /** As Backend.read. Writes may happen while it runs. */
  async read(): Promise<boolean> {
    const number = ++this.#readsBegun;
    const { tables } = this.#desired;
    const jumps: JumpWrites = { added: [], removed: [] };
    const reads = tableNames.map((table) => [table, tables[table].beginRead()] as const);
    this.#jumpReads.add(jumps);
    let saved: SavedTables;
    try {
      saved = await this.#kernel.save();
    } finally {
      for (const [table, read] of reads) tables[table].endRead(read);
      this.#jumpReads.delete(jumps);
    }
    // A read that began later has already ended.
    if (number < this.#lastRead) return false;
    this.#lastRead = number;
    const wasSettled = this.isSettled;
    for (const [table, read] of reads) tables[table].replaceObserved(saved.chains[table], read);
    const wanted = new Set(this.#desired.jumps.map(jumpKey));
    this.#seenJumps = withAdded(withoutEach(saved.jumps, jumps.removed, wanted), jumps.added);
    this.usedByOthers = saved.usedByOthers;
    for (const table of tableNames) for (const chain of this.usedByOthers) this.#forgetEmptied(table, chain);
    this.compareJumps();
    return wasSettled && !this.isSettled;
  }

  /** Throws when the tool does. It is then unknown which parts of the step are in force. */
  async write(step: Step): Promise<void> {
    await this.#kernel.restore(printStep(step));
    this.noteWritten(step);
  }

  /** Takes the step as written. */
  noteWritten(step: Step): void {
    for (const { table, chains, appends, deletions, jumps, staleJumps = [] } of step.tables) {
      const tracker = this.#desired.tables[table];
      for (const [chain, lines] of [...chains, ...appends]) {
        tracker.setObserved(chain, lines);
        this.#forgetEmptied(table, chain);
      }
      for (const chain of deletions) tracker.setObserved(chain, undefined);
      const gone = staleJumps.map(jumpKey);
      this.#seenJumps = [...withoutEach(this.#seenJumps, gone), ...jumps];
      for (const { added, removed } of this.#jumpReads) {
        added.push(...jumps);
        removed.push(...gone);
      }
    }
    this.compareJumps();
  }

  /** To be called when the desired jumps may have changed. */
  compareJumps(): void {
    const { jumps } = this.#desired;
    const seen = new Set(this.#seenJumps.map(jumpKey));
    const wanted = new Set(jumps.map(jumpKey));
    this.missingJumps = jumps.filter((jump) => !seen.has(jumpKey(jump)));
    const kept = new Set<string>();
    // One of each is kept. The others are there because somebody could not see the jump and inserted it again.
    const isStale = (jump: Jump): boolean => {
      const key = jumpKey(jump);
      if (wanted.has(key) && !kept.has(key)) {
        kept.add(key);
        return false;
      }
      return wanted.has(key) || !isShared(jump);
    };
    this.staleJumps = jumps.length === 0 ? [] : this.#seenJumps.filter(isStale);
    // The chain that is shared with the kubelet stays as it is when we no longer need it.
    const { filter } = this.#desired.tables;
    if (this.#desired.jumps.length > 0 && filter.getDesired(sharedChain) === undefined)
      filter.setObserved(sharedChain, undefined);
  }

  /** An unwanted chain to which others jump cannot be deleted. Once it is empty, nothing more is to be done. */
  #forgetEmptied(table: TableName, chain: string): void {
    const tracker = this.#desired.tables[table];
    if (tracker.getDesired(chain) === undefined && tracker.getObserved(chain) === '')
      tracker.setObserved(chain, undefined);
  }
}

interface JumpWrites {
  readonly added: Jump[];
  /** Keys of jumps. A key stands here once for each of several equal jumps. */
  readonly removed: string[];
}

function jumpKey({ table, from, rule }: Jump): string {
  return `${table} ${from} ${rule}`;
}

function isShared({ rule }: Jump): boolean {
  return rule.endsWith(`-j ${sharedChain}`);
}

/**
 * Removes one jump for each key. One of each wanted jump stays, because of wanted jumps only the duplicates were deleted.
 */
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

/** Adds the jumps that were inserted during a read, unless the read has seen them. */
function withAdded(jumps: readonly Jump[], added: readonly Jump[]): Jump[] {
  const seen = new Set(jumps.map(jumpKey));
  return [...jumps, ...added.filter((jump) => !seen.has(jumpKey(jump)))];
}
