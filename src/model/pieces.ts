/** Work that can be left between two pieces: each is short, and who does it decides what happens in between. */
export type Pieces<T> = Generator<void, T, void>;

/** All of it at once. */
export function finish<T>(work: Pieces<T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}

/** All of it; `pause` is asked after each piece, and gives a promise where others should have their turn. */
export async function finishWithPauses<T>(work: Pieces<T>, pause: () => Promise<void> | undefined): Promise<T> {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
    const turn = pause();
    if (turn !== undefined) await turn;
  }
}
