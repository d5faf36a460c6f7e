/**
 * Finds out whether somebody else wrote to our rules. Every transaction of nf_tables increases the ruleset's generation, and asking
 * for it costs microseconds. CNIs write often, so reads after somebody else's write are rationed. While a read has to wait, a cheap
 * look tells whether something of ours was flushed. Where nothing tells the generation, as in the legacy variant of iptables, there
 * are these looks, and a full read now and then.
 */
import type { Clock } from '../host/clock';
import { type Answer, unknown } from '../model/answer';

export interface DriftOptions {
  readonly clock: Clock;
  /** The generation of nf_tables' ruleset. undefined in the legacy variant, and when netlink cannot be used. */
  readonly readGeneration?: () => Promise<number>;
  /** A cheap look. Returns found when nothing of ours was flushed in any family, absent when something was. */
  readonly lookForFlush: () => Promise<Answer<true>>;
  /** Is given the answer of every such look. */
  readonly onLook?: (answer: Answer<true>) => void;
  /** Time between full reads, which find the edits that nothing else tells of. */
  readonly fullCheckMs: number;
  /** Whether a read covers more than the rules. Nothing tells of changes to the rest. */
  readonly hasMore?: boolean;
  /** The share of the time that reads may take in the long run. */
  readonly readShare: number;
}

const mostBudgetMs = 1000;
/** A generation has 32 bits and wraps around. */
const wrap = 2 ** 32;

export class DriftWatch {
  #expected: number | undefined;
  #foreign = false;
  #writing = 0;
  #lastReadEndedMs: number;
  /** Reading time that may be spent. It grows as time passes. */
  #budgetMs = mostBudgetMs;
  #budgetAtMs: number;
  readonly #options: DriftOptions;

  constructor(options: DriftOptions) {
    this.#options = options;
    this.#lastReadEndedMs = options.clock.now();
    this.#budgetAtMs = this.#lastReadEndedMs;
  }

  /** How often to ask shouldRead, in milliseconds. Without a generation, each question costs a look. */
  get pollMs(): number {
    return this.#options.readGeneration === undefined ? 1000 : 500;
  }

  /** To be called before the first read. */
  async start(): Promise<void> {
    this.#expected = await this.#generation();
  }

  /** Wraps a write of ours that makes this many transactions. */
  async ownWrite(transactions: number, write: () => Promise<void>): Promise<void> {
    const before = await this.#generation();
    if (before !== this.#expected) this.#foreign = true;
    this.#writing++;
    try {
      await write();
      const after = await this.#generation();
      if (before !== undefined && after !== undefined && (after - before + wrap) % wrap !== transactions)
        this.#foreign = true;
      this.#expected = after;
    } finally {
      this.#writing--;
    }
  }

  /** Wraps a full read of ours and takes its time off the budget. */
  async ownRead<T>(read: () => Promise<T>): Promise<T> {
    const { clock } = this.#options;
    const startedMs = clock.now();
    try {
      return await read();
    } finally {
      this.#lastReadEndedMs = clock.now();
      this.#budgetMs = this.#budget() - (this.#lastReadEndedMs - startedMs);
    }
  }

  /** The reading time left. A few reads in a row are free; in the long run reads get their share of the time. */
  #budget(): number {
    const { clock, readShare } = this.#options;
    const nowMs = clock.now();
    this.#budgetMs = Math.min(mostBudgetMs, this.#budgetMs + Math.max(0, nowMs - this.#budgetAtMs) * readShare);
    this.#budgetAtMs = nowMs;
    return this.#budgetMs;
  }

  /** Whether the rules of all families should be read and compared now. To be called every pollMs. */
  async shouldRead(): Promise<boolean> {
    const { clock, fullCheckMs } = this.#options;
    // A generation that changes now is most likely our own write, and the write counts its transactions itself.
    if (this.#writing > 0) return false;
    const generation = await this.#generation();
    const isDue = clock.now() >= this.#lastReadEndedMs + fullCheckMs;
    if (generation === undefined) return isDue || (await this.#wasFlushed());
    if (generation !== this.#expected) this.#foreign = true;
    this.#expected = generation;
    if (isDue && this.#options.hasMore === true) this.#foreign = true;
    if (!this.#foreign) return false;
    if (this.#budget() <= 0 && !(await this.#wasFlushed())) {
      // A look may count as a transaction of its own.
      this.#expected = await this.#generation();
      return false;
    }
    this.#foreign = false;
    return true;
  }

  /** An unknown answer does not count as a flush. The next look asks again. */
  async #wasFlushed(): Promise<boolean> {
    const answer = await this.#options.lookForFlush().catch(unknown);
    this.#options.onLook?.(answer);
    return answer.kind === 'absent';
  }

  /** To be called when the read that shouldRead asked for was not made. */
  askAgain(): void {
    this.#foreign = true;
  }

  /** Returns undefined when the generation is unknown. Neither a write nor a check fails because of that. */
  async #generation(): Promise<number | undefined> {
    try {
      return await this.#options.readGeneration?.();
    } catch {
      return undefined;
    }
  }
}
