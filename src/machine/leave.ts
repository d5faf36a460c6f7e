/** Removes what other modes and proxies left on this node, once our rules are in force. What cannot be removed yet is tried again. */
import type { Clock } from '../host/clock';
import type { Conntrack } from '../host/conntrack';
import { readProcesses, sharesNetwork } from '../host/processes';
import type { Family } from '../model/address';
import { unknown } from '../model/answer';
import type { Logger } from '../telemetry/log';
import type { OpenQuestions } from '../telemetry/open-questions';

/** The pause after a failure: the first one, and the longest. */
const retryMs = { first: 5000, most: 300_000 } as const;

export interface LeaveOptions {
  /** The families that we serve. */
  readonly families: readonly Family[];
  /** How long at most something in use stays, in milliseconds; Infinity: until its last connection has ended. */
  readonly limitMs: number;
  readonly conntrack: Conntrack;
  readonly clock: Clock;
  readonly log: Logger;
  readonly questions: OpenQuestions;
}

/** What a mode or a proxy left on this node. */
export interface Leftovers {
  /** Completes "cannot tell". */
  readonly question: string;
  /** Milliseconds between two looks. */
  readonly pauseMs: number;
  /** Removes what may be removed, and returns whether that was all. */
  readonly look: () => Promise<boolean>;
}

/**
 * Looks at all of it in this order, so that rules go before the sets that they match. What is left then is looked at until it is gone,
 * also after a part of the machine did not answer. Ends when the signal is aborted; the next machine or process then continues. Never
 * rejects.
 */
export async function leave(
  leftovers: readonly Leftovers[],
  options: Pick<LeaveOptions, 'clock' | 'questions'>,
  signal: AbortSignal,
): Promise<void> {
  const rest: Promise<void>[] = [];
  for (const each of leftovers) {
    const looks = lookAgain(each, options, signal);
    if ((await looks.next()).done !== true) rest.push(finish(looks));
  }
  await Promise.all(rest);
}

/** Yields after each look that was not the last. */
async function* lookAgain(
  { question, pauseMs, look }: Leftovers,
  { clock, questions }: Pick<LeaveOptions, 'clock' | 'questions'>,
  signal: AbortSignal,
): AsyncGenerator<void, void> {
  let retryAfterMs: number = retryMs.first;
  while (!signal.aborted) {
    let nextMs = pauseMs;
    try {
      const isAll = await look();
      questions.answered(question);
      if (isAll) return;
    } catch (error) {
      questions.unanswered(question, unknown(error));
      nextMs = retryAfterMs;
      retryAfterMs = Math.min(retryMs.most, 2 * retryAfterMs);
    }
    yield;
    await clock.sleep(nextMs, signal);
  }
}

async function finish(looks: AsyncGenerator<void, void>): Promise<void> {
  while ((await looks.next()).done !== true);
}

/** Returns why a kube-proxy may still use its rules, as far as processes can be seen from here, or '' where no kube-proxy does. */
export async function findKubeProxy(): Promise<string> {
  const { processes, unread } = await readProcesses();
  for (const process of processes) {
    if (!/(^|\/)kube-proxy$/.test(process.args[0] ?? '')) continue;
    const shares = await sharesNetwork(process);
    if (shares.kind === 'found') return `kube-proxy runs here (pid ${process.pid})`;
    if (shares.kind === 'unknown')
      return `kube-proxy runs (pid ${process.pid}), and vipwire cannot tell whether in this network: ${shares.reason}`;
  }
  return unread === undefined ? '' : `cannot tell whether a kube-proxy runs here: ${unread.reason}`;
}
