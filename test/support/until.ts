import { setTimeout as sleep } from 'node:timers/promises';

export interface UntilOptions {
  /** What is waited for. Default: the text of the condition. */
  readonly what?: string;
  readonly limitMs?: number;
  /** The pause between two looks. */
  readonly everyMs?: number;
  /** What else the error says, such as the log of a process. */
  readonly details?: () => string;
}

/** Waits until the condition holds, and returns the milliseconds that it took. After the limit it throws; the error says what it waited for. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  { what = condition.toString(), limitMs = 10_000, everyMs = 5, details = () => '' }: UntilOptions = {},
): Promise<number> {
  const startMs = performance.now();
  for (;;) {
    if (await condition()) return performance.now() - startMs;
    if (performance.now() - startMs > limitMs)
      throw new Error(`not within ${limitMs} ms: ${what}\n${details()}`.trim());
    await sleep(everyMs);
  }
}
