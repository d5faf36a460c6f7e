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
 * Looks until everything is gone, also after a part of the machine did not answer. Ends when the signal is aborted; the next machine
 * or process then continues. Never rejects.
 */
export async function leave(
  { question, pauseMs, look }: Leftovers,
  { clock, questions }: Pick<LeaveOptions, 'clock' | 'questions'>,
  signal: AbortSignal,
): Promise<void> {
  let retryAfterMs: number = retryMs.first;
  while (!signal.aborted) {
    try {
      const isAll = await look();
      questions.answered(question);
      if (isAll) return;
      await clock.sleep(pauseMs, signal);
    } catch (error) {
      questions.unanswered(question, unknown(error));
      await clock.sleep(retryAfterMs, signal);
      retryAfterMs = Math.min(retryMs.most, 2 * retryAfterMs);
    }
  }
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
