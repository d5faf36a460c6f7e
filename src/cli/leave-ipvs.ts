/** In iptables mode: what IPVS mode left goes, once nothing goes through it any more. */
import type { Clock } from '../host/clock';
import type { Conntrack } from '../host/conntrack';
import type { Family } from '../model/address';
import { unknown } from '../model/answer';
import type { Logger } from '../telemetry/log';
import type { OpenQuestions } from '../telemetry/open-questions';
import { removeIpvs, retireIpvs } from './ipvs-machine';

const pauseMs = 5000;
/** After a failure: at first, and in the end. */
const retryMs = { first: 5000, most: 300_000 } as const;
const question = 'what IPVS mode has left';

export interface LeaveOptions {
  readonly families: readonly Family[];
  /** Milliseconds; Infinity: until the last connection has ended. */
  readonly limitMs: number;
  readonly conntrack: Conntrack;
  readonly clock: Clock;
  readonly log: Logger;
  readonly questions: OpenQuestions;
}

/**
 * When the rules of iptables mode are in force. Never rejects, and tries again where a part of the machine does not answer; with
 * the signal aborted, whoever comes next goes on.
 */
export async function leaveIpvs(options: LeaveOptions, signal: AbortSignal): Promise<void> {
  const { families, limitMs, conntrack, clock, log, questions } = options;
  const sinceMs = clock.now();
  let retryAfterMs: number = retryMs.first;
  for (let told = false; !signal.aborted; ) {
    try {
      const connections = await retireIpvs(families, conntrack);
      if (connections === 0 || clock.now() - sinceMs >= limitMs) {
        const removed = await removeIpvs(families);
        if (removed.servers + removed.sets + removed.addresses > 0)
          log.info(removed, 'removed what IPVS mode had left');
        questions.answered(question);
        return;
      }
      if (!told)
        log.info({ connections }, 'connections that began in IPVS mode go on through its servers until they end');
      told = true;
      await clock.sleep(pauseMs, signal);
    } catch (error) {
      questions.unanswered(question, unknown(error));
      await clock.sleep(retryAfterMs, signal);
      retryAfterMs = Math.min(retryMs.most, 2 * retryAfterMs);
    }
  }
}
