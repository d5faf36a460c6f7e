/** Looks at the kernel beside the rounds, for what somebody else wrote. */
import type { Backend } from '../backends/backend';

export class KernelLooks {
  readonly #backend: Pick<Backend<unknown>, 'read'>;
  readonly #obstacle: () => Promise<unknown> | undefined;
  /** Each resolves when its look has ended, however it ended. */
  readonly #underWay = new Set<Promise<void>>();
  #ended = 0;
  #foundDrift = false;

  /** @param obstacle gives a promise while the kernel may not be looked at; it is asked again when that resolves. */
  constructor(backend: Pick<Backend<unknown>, 'read'>, obstacle: () => Promise<unknown> | undefined) {
    this.#backend = backend;
    this.#obstacle = obstacle;
  }

  /** Resolves when those of now have ended; undefined: no look is under way. */
  get underWay(): Promise<unknown> | undefined {
    return this.#underWay.size === 0 ? undefined : Promise.all(this.#underWay);
  }

  /** How many looks have ended: what was compared at another count may lack what a look has found since. */
  get ended(): number {
    return this.#ended;
  }

  /** Somebody else changed our rules, and no round has put that right yet. */
  get foundDrift(): boolean {
    return this.#foundDrift;
  }

  /** A round has put right what looks had found. */
  repaired(): void {
    this.#foundDrift = false;
  }

  /** Rejects where the kernel cannot be read. */
  async look(): Promise<void> {
    for (let obstacle = this.#obstacle(); obstacle !== undefined; obstacle = this.#obstacle()) await obstacle;
    const reading = this.#backend.read();
    const end = (): void => {
      this.#ended++;
    };
    const ended = reading.then(end, end);
    this.#underWay.add(ended);
    try {
      if (await reading) this.#foundDrift = true;
    } finally {
      this.#underWay.delete(ended);
    }
  }
}
