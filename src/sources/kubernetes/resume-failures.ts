/** When a watch that keeps failing is given up for a new list. Pure. */

export type WatchEndCause =
  /** Nothing came for too long. */
  | 'silent'
  /** The server told an error, or something that no watch tells. */
  | 'bad'
  /** In good order, or with its connection. */
  | 'over'
  /** The server refused it. */
  | 'refused'
  /** No answer came, or that the server has too much to do. */
  | 'unanswered';

export interface WatchEnd {
  readonly cause: WatchEndCause;
  /** It began where another had ended, not where a list had. */
  readonly resumed: boolean;
  readonly openMs: number;
  /** Events that were understood. */
  readonly events: number;
}

/** What comes next: a watch at once, a watch after a wait, a list, or a list at a time that no other node has. */
export type NextStep = 'resume' | 'wait' | 'list' | 'list apart';

/** After so long a watch was a good one, however it ended. */
const goodMs = 60_000;
const mostFailedResumes = 2;

export class ResumeFailures {
  #failed = 0;
  #silent = 0;

  /** @param shortMs a watch that ends sooner has failed. */
  constructor(private readonly shortMs: number) {}

  /** Resumed watches that failed one after the other. */
  get inARow(): number {
    return this.#failed;
  }

  next(end: WatchEnd): NextStep {
    if (end.cause === 'unanswered') return 'wait';
    if (end.cause === 'silent') return this.#afterSilence(end);
    this.#silent = 0;
    if (end.cause === 'over' && end.openMs >= this.shortMs) {
      this.#failed = 0;
      return 'resume';
    }
    if (end.openMs >= goodMs) this.#failed = 0;
    // The first after a list is no resume; but where that list had to come because of failures, the row goes on.
    else if (end.resumed || this.#failed > 0) this.#failed++;
    return this.#failed >= mostFailedResumes ? 'list' : 'wait';
  }

  #afterSilence({ events }: WatchEnd): NextStep {
    this.#silent = events > 0 ? 1 : this.#silent + 1;
    if (this.#silent < 2) return 'resume';
    this.#silent = 0;
    return 'list apart';
  }
}
