/** Work in short pieces. Its caller decides what happens between two pieces. */
export type Pieces<T> = Generator<void, T, void>;

/** Does all of the work at once. */
export function finish<T>(work: Pieces<T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}

/** Does all of the work. Calls `pause` after each piece, and awaits its promise if it returns one, so that others get their turn. */
export async function finishWithPauses<T>(work: Pieces<T>, pause: () => Promise<void> | undefined): Promise<T> {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
    const turn = pause();
    if (turn !== undefined) await turn;
  }
}
