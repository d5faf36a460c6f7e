/** Questions to the machine or the API server that cannot be answered at the moment. */
import type { Unknown } from '../model/answer';
import type { LogFields, Logger } from './log';

/** Further questions are counted and logged, but not listed. */
const mostListed = 100;

export interface OpenQuestion {
  /** A fixed phrase, which is also the value of a metric's label. */
  readonly question: string;
  /** Why there is no answer, in the words of the tool or server that was asked. */
  readonly reason: string;
  /** When it was first asked without an answer, in milliseconds since the epoch. */
  readonly sinceMs: number;
  /** How often it was asked without an answer since then. */
  readonly times: number;
}

/** Logs once per reason why a question has no answer, counts every time, and logs when an answer has come. */
export class OpenQuestions {
  readonly #open = new Map<string, OpenQuestion>();
  readonly #log: Logger;
  readonly #count: (question: string) => void;
  readonly #now: () => number;

  /** @param count is called each time that a question has no answer. */
  constructor(log: Logger, count: (question: string) => void = () => undefined, now: () => number = Date.now) {
    this.#log = log;
    this.#count = count;
    this.#now = now;
  }

  /** To be called when the question could not be answered. It will be asked again. */
  unanswered(question: string, { reason }: Unknown, fields: LogFields = {}): void {
    this.#count(question);
    const before = this.#open.get(question);
    if (before === undefined || withoutTimes(before.reason) !== withoutTimes(reason))
      this.#log.warn({ ...fields, reason }, `cannot tell ${question}; trying again`);
    if (before !== undefined || this.#open.size < mostListed)
      this.#open.set(question, {
        question,
        reason,
        sinceMs: before?.sinceMs ?? this.#now(),
        times: (before?.times ?? 0) + 1,
      });
  }

  /** To be called when there is an answer, whatever it is. */
  answered(question: string): void {
    if (this.#open.delete(question)) this.#log.info(`there is an answer again: ${question}`);
  }

  /** Returns the open questions, the oldest first. */
  list(): readonly OpenQuestion[] {
    return [...this.#open.values()];
  }
}

/** Removes durations: how long a tool ran before it failed does not make it a different reason. */
function withoutTimes(reason: string): string {
  return reason.replace(/\b\d+(?:\.\d+)? (?:ms|s)\b/g, '');
}
