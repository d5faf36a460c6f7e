/** Starts and ends a watch that is not always wanted. A watch begins only after the end of the one before. */
export class OptionalWatch {
  #isWanted = false;
  #end: (() => Promise<void>) | undefined;
  #settled: Promise<void> = Promise.resolve();

  readonly #start: () => () => Promise<void>;

  /** @param start starts the watch. What it returns ends the watch and removes what it reported. */
  constructor(start: () => () => Promise<void>) {
    this.#start = start;
  }

  want(isWanted: boolean): void {
    this.#isWanted = isWanted;
    this.#settled = this.#settled.then(() => this.#settle());
  }

  async #settle(): Promise<void> {
    const end = this.#end;
    if (this.#isWanted === (end !== undefined)) return;
    this.#end = end === undefined ? this.#start() : undefined;
    await end?.();
  }
}
