/**
 * Whether somebody else wrote to our tables. In the nft variant every transaction moves the ruleset's generation on, and asking for
 * it costs microseconds; CNIs write often, so a foreign one leads to a read that is rationed, and meanwhile to a look
 * at the canary rules, which costs milliseconds and sees a flush. The legacy variant has the canaries, and a full read now
 * and then.
 */
import type { Clock } from '../host/clock';
import { type Answer, unknown } from '../model/answer';
import type { KernelTables } from './kernel-tables';

export interface DriftOptions {
  readonly clock: Clock;
  /** The nft variant's ruleset generation; undefined in the legacy variant, or where netlink is not to be had. */
  readonly readGeneration?: () => Promise<number>;
  /** Found where no table of any family was flushed. */
  readonly canariesStand: () => Promise<Answer<true>>;
  /** Told each time that the canaries have no answer, and when they have one. */
  readonly onCanaries?: (answer: Answer<true>) => void;
  /** Full reads where nothing tells of single edits. */
  readonly fullCheckMs: number;
  /** Whether there is more to read than iptables' tables, of which nothing tells. */
  readonly hasMore?: boolean;
  /** What reads may take of the time in the long run. */
  readonly readShare: number;
}

const mostBudgetMs = 1000;
/** 2^32 generations wrap around. */
const wrap = 2 ** 32;

export class DriftWatch {
  private expected: number | undefined;
  private foreign = false;
  private writing = 0;
  private lastReadEndedMs: number;
  /** Reading time that may be spent; it grows with the clock. */
  private budgetMs = mostBudgetMs;
  private budgetAtMs: number;

  constructor(private readonly options: DriftOptions) {
    this.lastReadEndedMs = options.clock.now();
    this.budgetAtMs = this.lastReadEndedMs;
  }

  /** How often to ask shouldRead: the generation costs microseconds, the canaries a process. */
  get pollMs(): number {
    return this.options.readGeneration === undefined ? 1000 : 500;
  }

  /** Before the first read. */
  async start(): Promise<void> {
    this.expected = await this.generation();
  }

  /** The same tables, their reads and writes taken note of. */
  watched(tables: KernelTables): KernelTables {
    return {
      variant: tables.variant,
      save: () => this.ownRead(() => tables.save()),
      restore: (input) => this.ownWrite(countTransactions(input), () => tables.restore(input)),
      canariesStand: () => tables.canariesStand(),
    };
  }

  /** Around each write of ours, which makes so many transactions. */
  private async ownWrite(transactions: number, write: () => Promise<void>): Promise<void> {
    const before = await this.generation();
    if (before !== this.expected) this.foreign = true;
    this.writing++;
    try {
      await write();
      const after = await this.generation();
      if (before !== undefined && after !== undefined && (after - before + wrap) % wrap !== transactions)
        this.foreign = true;
      this.expected = after;
    } finally {
      this.writing--;
    }
  }

  /** Around each full read of ours, which it is charged for. */
  private async ownRead<T>(read: () => Promise<T>): Promise<T> {
    const { clock } = this.options;
    const startedMs = clock.now();
    try {
      return await read();
    } finally {
      this.lastReadEndedMs = clock.now();
      this.budgetMs = this.budget() - (this.lastReadEndedMs - startedMs);
    }
  }

  /** A few reads in a row are free; in the long run they get their share of the time. */
  private budget(): number {
    const { clock, readShare } = this.options;
    const nowMs = clock.now();
    this.budgetMs = Math.min(mostBudgetMs, this.budgetMs + Math.max(0, nowMs - this.budgetAtMs) * readShare);
    this.budgetAtMs = nowMs;
    return this.budgetMs;
  }

  /** Whether the tables of all families should be read and compared now. To be asked every pollMs. */
  async shouldRead(): Promise<boolean> {
    const { clock, fullCheckMs } = this.options;
    // What moves now is most likely our own; the write counts its transactions.
    if (this.writing > 0) return false;
    const generation = await this.generation();
    const isDue = clock.now() >= this.lastReadEndedMs + fullCheckMs;
    if (generation === undefined) return isDue || (await this.wasFlushed());
    if (generation !== this.expected) this.foreign = true;
    this.expected = generation;
    if (isDue && this.options.hasMore === true) this.foreign = true;
    if (!this.foreign) return false;
    if (this.budget() <= 0 && !(await this.wasFlushed())) {
      // The look at the canaries may count as a transaction.
      this.expected = await this.generation();
      return false;
    }
    this.foreign = false;
    return true;
  }

  /** What cannot be told is no flush: it is asked again at the next look. */
  private async wasFlushed(): Promise<boolean> {
    const answer = await this.options.canariesStand().catch(unknown);
    this.options.onCanaries?.(answer);
    return answer.kind === 'absent';
  }

  /** The read that shouldRead led to did not come about. */
  askAgain(): void {
    this.foreign = true;
  }

  /** undefined where it cannot be told just now: neither a write nor a check fails for that. */
  private async generation(): Promise<number | undefined> {
    try {
      return await this.options.readGeneration?.();
    } catch {
      return undefined;
    }
  }
}

/** One a COMMIT of iptables-nft-restore. */
function countTransactions(input: string): number {
  return input.match(/^COMMIT$/gm)?.length ?? 0;
}
