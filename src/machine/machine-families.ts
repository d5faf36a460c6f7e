/** The families of a machine: those that can be served now, and those that are asked again. */
import type { Backend } from '../backends/backend';
import type { LateFamilies } from './machine';
import { families, type Family } from '../model/address';
import { type Answer, unknown } from '../model/answer';
import { UserError } from '../model/user-error';
import type { OpenQuestions } from '../telemetry/open-questions';
import { requireSomeFamily } from './tables';

export interface OpenedFamily {
  readonly backend: Backend<unknown>;
  /** Where settings could not be told and were assumed: another backend once they are known, absent where it would be the same. */
  readonly askAgain?: () => Promise<Answer<OpenedFamily>>;
}

export class MachineFamilies implements LateFamilies {
  readonly unserved = new Map<Family, string>();
  private readonly unsure = new Map<Family, NonNullable<OpenedFamily['askAgain']>>();

  /** @param open may be called again; absent: this machine has no such family. */
  constructor(
    private readonly open: (family: Family) => Promise<Answer<OpenedFamily>>,
    private readonly questions: OpenQuestions,
  ) {}

  /** Throws UserError where what is missing will not come by asking again. */
  async openAll(): Promise<Map<Family, Backend<unknown>>> {
    const answers = new Map<Family, Answer<OpenedFamily>>();
    // One after the other: they ask the same kernel, under the same locks.
    for (const family of families) answers.set(family, await ask(() => this.open(family), true));
    requireSomeFamily(answers);
    return new Map([...answers].flatMap(([family, answer]) => this.take(family, answer)));
  }

  get isSettled(): boolean {
    return this.unserved.size + this.unsure.size === 0;
  }

  async askAgain(): Promise<ReadonlyMap<Family, Backend<unknown>>> {
    const opened: [Family, Backend<unknown>][] = [];
    for (const family of [...this.unserved.keys()])
      opened.push(...this.take(family, await ask(() => this.open(family), false)));
    for (const [family, again] of [...this.unsure])
      if (!this.unserved.has(family)) opened.push(...this.takeSettings(family, await ask(again, false)));
    return new Map(opened);
  }

  private take(family: Family, answer: Answer<OpenedFamily>): [Family, Backend<unknown>][] {
    const question = `whether ${family} can be served`;
    if (answer.kind === 'unknown') {
      this.unserved.set(family, answer.reason);
      this.questions.unanswered(question, answer);
      return [];
    }
    this.unserved.delete(family);
    this.questions.answered(question);
    return answer.kind === 'found' ? [this.keep(family, answer.value)] : [];
  }

  /** What could not be told before: absent says that nothing has changed. */
  private takeSettings(family: Family, answer: Answer<OpenedFamily>): [Family, Backend<unknown>][] {
    if (answer.kind === 'unknown') return [];
    this.unsure.delete(family);
    return answer.kind === 'found' ? [this.keep(family, answer.value)] : [];
  }

  private keep(family: Family, { backend, askAgain }: OpenedFamily): [Family, Backend<unknown>] {
    if (askAgain !== undefined) this.unsure.set(family, askAgain);
    else this.unsure.delete(family);
    return [family, backend];
  }
}

/** A user's mistake ends a start; later on it is one more reason. */
async function ask(open: () => Promise<Answer<OpenedFamily>>, isStart: boolean): Promise<Answer<OpenedFamily>> {
  try {
    return await open();
  } catch (error) {
    if (isStart && error instanceof UserError) throw error;
    return unknown(error);
  }
}
