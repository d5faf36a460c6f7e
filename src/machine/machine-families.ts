/** The IP families of a machine: those that can be served now, and those that are tried again later. */
import type { Backend } from '../backends/backend';
import { families, type Family } from '../model/address';
import { type Answer, unknown } from '../model/answer';
import { UserError } from '../model/user-error';
import type { OpenQuestions } from '../telemetry/open-questions';
import type { LateFamilies } from './machine';

export interface OpenedFamily {
  readonly backend: Backend<unknown>;
  /** Present where settings were assumed. Opens another backend once they are known; absent: the assumptions were right. */
  readonly askAgain?: () => Promise<Answer<OpenedFamily>>;
}

export class MachineFamilies implements LateFamilies {
  readonly unserved = new Map<Family, string>();
  /** Families that are served with assumed settings. */
  readonly #unsure = new Map<Family, NonNullable<OpenedFamily['askAgain']>>();
  readonly #open: (family: Family) => Promise<Answer<OpenedFamily>>;
  readonly #requireSome: (answers: ReadonlyMap<Family, Answer<unknown>>) => void;
  readonly #questions: OpenQuestions;

  /**
   * @param open may be called again for the same family. Its answer is absent where this machine does not have the family.
   * @param requireSome throws UserError where asking again would not help in any family.
   */
  constructor(
    open: (family: Family) => Promise<Answer<OpenedFamily>>,
    requireSome: (answers: ReadonlyMap<Family, Answer<unknown>>) => void,
    questions: OpenQuestions,
  ) {
    this.#open = open;
    this.#requireSome = requireSome;
    this.#questions = questions;
  }

  /** Throws UserError where trying again would not help. */
  async openAll(): Promise<Map<Family, Backend<unknown>>> {
    const answers = new Map<Family, Answer<OpenedFamily>>();
    // One after the other: they ask the same kernel, under the same locks.
    for (const family of families) answers.set(family, await ask(() => this.#open(family), true));
    this.#requireSome(answers);
    return new Map([...answers].flatMap(([family, answer]) => this.#take(family, answer)));
  }

  get isSettled(): boolean {
    return this.unserved.size + this.#unsure.size === 0;
  }

  async askAgain(): Promise<ReadonlyMap<Family, Backend<unknown>>> {
    const opened: [Family, Backend<unknown>][] = [];
    for (const family of [...this.unserved.keys()])
      opened.push(...this.#take(family, await ask(() => this.#open(family), false)));
    for (const [family, again] of [...this.#unsure])
      if (!this.unserved.has(family)) opened.push(...this.#takeSettings(family, await ask(again, false)));
    return new Map(opened);
  }

  #take(family: Family, answer: Answer<OpenedFamily>): [Family, Backend<unknown>][] {
    const question = `whether ${family} can be served`;
    if (answer.kind === 'unknown') {
      this.unserved.set(family, answer.reason);
      this.#questions.unanswered(question, answer);
      return [];
    }
    this.unserved.delete(family);
    this.#questions.answered(question);
    return answer.kind === 'found' ? [this.#keep(family, answer.value)] : [];
  }

  /** Takes the answer about settings that were assumed: absent says that the assumptions were right. */
  #takeSettings(family: Family, answer: Answer<OpenedFamily>): [Family, Backend<unknown>][] {
    if (answer.kind === 'unknown') return [];
    this.#unsure.delete(family);
    return answer.kind === 'found' ? [this.#keep(family, answer.value)] : [];
  }

  #keep(family: Family, { backend, askAgain }: OpenedFamily): [Family, Backend<unknown>] {
    if (askAgain !== undefined) this.#unsure.set(family, askAgain);
    else this.#unsure.delete(family);
    return [family, backend];
  }
}

/** A UserError ends a start. Later it is one more reason why a family is not served. */
async function ask(open: () => Promise<Answer<OpenedFamily>>, isStart: boolean): Promise<Answer<OpenedFamily>> {
  try {
    return await open();
  } catch (error) {
    if (isStart && error instanceof UserError) throw error;
    return unknown(error);
  }
}
