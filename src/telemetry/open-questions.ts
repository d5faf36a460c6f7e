/** Questions to the machine or the API server that cannot be answered just now. */
import type { Unknown } from '../model/answer';
import type { LogFields, Logger } from './log';

/** More are counted, and said, but no longer listed. */
const mostListed = 100;

export interface OpenQuestion {
  /** What is asked: a fixed phrase, the name of a metric's label. */
  readonly question: string;
  /** Why it has no answer, in the words of whoever was asked. */
  readonly reason: string;
  /** Milliseconds since the epoch: when it was first asked in vain. */
  readonly sinceMs: number;
  /** How often it was asked in vain since then. */
  readonly times: number;
}

/** Says once for each reason why a question has no answer, counts every time, and says when an answer has come. */
export class OpenQuestions {
  private readonly open = new Map<string, OpenQuestion>();

  /** @param count is called each time that a question has no answer. */
  constructor(
    private readonly log: Logger,
    private readonly count: (question: string) => void = () => undefined,
    private readonly now: () => number = Date.now,
  ) {}

  /** The question could not be answered, and will be asked again. */
  unanswered(question: string, { reason }: Unknown, fields: LogFields = {}): void {
    this.count(question);
    const before = this.open.get(question);
    if (before === undefined || withoutTimes(before.reason) !== withoutTimes(reason))
      this.log.warn({ ...fields, reason }, `cannot tell ${question}; it is asked again`);
    if (before !== undefined || this.open.size < mostListed)
      this.open.set(question, {
        question,
        reason,
        sinceMs: before?.sinceMs ?? this.now(),
        times: (before?.times ?? 0) + 1,
      });
  }

  /** There is an answer, whatever it is. */
  answered(question: string): void {
    if (this.open.delete(question)) this.log.info(`there is an answer again: ${question}`);
  }

  /** In the order in which they were first asked in vain. */
  list(): readonly OpenQuestion[] {
    return [...this.open.values()];
  }
}

/** How long a tool ran before it failed makes no other reason. */
function withoutTimes(reason: string): string {
  return reason.replace(/\b\d+(?:\.\d+)? (?:ms|s)\b/g, '');
}
