/** What others left on this node goes once our rules are in force. What cannot go yet is looked at again. */
import type { Clock } from '../host/clock';
import type { Conntrack } from '../host/conntrack';
import { readProcesses, sharesNetwork } from '../host/processes';
import type { Family } from '../model/address';
import { unknown } from '../model/answer';
import type { Logger } from '../telemetry/log';
import type { OpenQuestions } from '../telemetry/open-questions';

/** After a failure: at first, and in the end. */
const retryMs = { first: 5000, most: 300_000 } as const;

export interface LeaveOptions {
  /** That we serve. */
  readonly families: readonly Family[];
  /** What is in use stays so long at the most, in milliseconds; Infinity: until its last connection has ended. */
  readonly limitMs: number;
  readonly conntrack: Conntrack;
  readonly clock: Clock;
  readonly log: Logger;
  readonly questions: OpenQuestions;
}

/** What somebody left on this node. */
export interface Leftovers {
  /** Completes "cannot tell". */
  readonly question: string;
  /** Between two looks, in milliseconds. */
  readonly pauseMs: number;
  /** Removes what may go, and tells whether that was all. */
  readonly look: () => Promise<boolean>;
}

/**
 * Never rejects, and looks again where a part of the machine does not answer; with the signal aborted, whoever comes next goes on.
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

/** Why a kube-proxy may still use its rules, as far as processes can be seen from here; '' where none does. */
export async function findKubeProxy(): Promise<string> {
  const { processes, unread } = await readProcesses();
  for (const process of processes) {
    if (!/(^|\/)kube-proxy$/.test(process.args[0] ?? '')) continue;
    const shares = await sharesNetwork(process);
    if (shares.kind === 'found') return `kube-proxy runs here (pid ${process.pid})`;
    if (shares.kind === 'unknown')
      return `kube-proxy runs (pid ${process.pid}), and it cannot be told whether here: ${shares.reason}`;
  }
  return unread === undefined ? '' : `it cannot be told whether a kube-proxy runs here: ${unread.reason}`;
}
