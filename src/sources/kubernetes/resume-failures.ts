/** When a watch that keeps failing is given up for a new list. Pure. */

export type WatchEndCause =
  /** Nothing came for too long. */
  | 'silent'
  /** The server sent an error, or something that does not belong in a watch. */
  | 'bad'
  /** In good order, or with its connection. */
  | 'over'
  /** The server refused it. */
  | 'refused'
  /** There was no answer, or the server said that it has too much to do. */
  | 'unanswered';

export interface WatchEnd {
  readonly cause: WatchEndCause;
  /** It began where another watch had ended, not where a list had. */
  readonly resumed: boolean;
  readonly openMs: number;
  /** Events that were understood. */
  readonly events: number;
}

/** What comes next: a watch at once, a watch after a wait, a list, or a list at a time of its own for each node. */
export type NextStep = 'resume' | 'wait' | 'list' | 'list apart';

/** A watch that stayed open for so long was a good one, however it ended. */
const goodMs = 60_000;
const mostFailedResumes = 2;

/** Failures and silence are counted apart: silence does not end a row of failures. */
export class ResumeFailures {
  readonly #shortMs: number;
  #failedInARow = 0;
  /** How the last watch ended that the server answered. */
  #lastEnd: 'in silence' | 'otherwise' = 'otherwise';

  /** @param shortMs a watch that ends sooner has failed. */
  constructor(shortMs: number) {
    this.#shortMs = shortMs;
  }

  /** Resumed watches that failed one after the other. */
  get inARow(): number {
    return this.#failedInARow;
  }

  next(end: WatchEnd): NextStep {
    if (end.cause === 'unanswered') return 'wait';
    if (end.cause === 'silent') return this.#afterSilence(end);
    this.#lastEnd = 'otherwise';
    if (end.cause === 'over' && end.openMs >= this.#shortMs) {
      this.#failedInARow = 0;
      return 'resume';
    }
    if (end.openMs >= goodMs) this.#failedInARow = 0;
    // The first watch after a list is not a resumed one. When failures led to that list, it still counts in their row.
    else if (end.resumed || this.#failedInARow > 0) this.#failedInARow++;
    return this.#failedInARow >= mostFailedResumes ? 'list' : 'wait';
  }

  /** A watch that is silent from its first moment, after one that ended in silence, leads to a list. */
  #afterSilence({ events }: WatchEnd): NextStep {
    if (this.#lastEnd === 'in silence' && events === 0) {
      this.#lastEnd = 'otherwise';
      return 'list apart';
    }
    this.#lastEnd = 'in silence';
    return 'resume';
  }
}
