/** Decides which lost connections are explained by the machine's own counters, and which are the proxy's fault. */
import { canLose, isRule, movedCounters } from './counters';
import { type FrontendReport, patienceMs, type SideReport } from './side';

export interface Judgement {
  readonly attempts: number;
  readonly lost: number;
  /** The lost connections that no counter of the kernel explains. They count against the proxy. */
  readonly unexplained: number;
  /** What explains lost connections, one line for each. */
  readonly reasons: readonly string[];
}

export function judge({ frontends, before, after, ended }: SideReport): Judgement {
  const count = (of: (frontend: FrontendReport) => number): number => frontends.reduce((sum, one) => sum + of(one), 0);
  const lostOf = (frontend: FrontendReport, wanted: RegExp): number =>
    Object.entries(frontend.lost).reduce((sum, [outcome, n]) => sum + (wanted.test(outcome) ? n : 0), 0);
  const attempts = count((one) => one.attempts);
  const lost = count((one) => lostOf(one, /./));
  const moved = movedCounters(before, after);
  // A client that could not run for longer than its timeout cannot tell which connections were lost.
  const heldUp = count((one) => (one.heldUpMs >= patienceMs ? lostOf(one, /^timeout$/) : 0));
  // The client got no socket at all, so it sent nothing.
  const unsent = count((one) => lostOf(one, /^error:(EADDRNOTAVAIL|EMFILE|ENOBUFS|ENOMEM)$/));
  const dropped = moved.filter(([name]) => canLose(name)).reduce((sum, [, more]) => sum + more, 0);
  const byRule = moved.filter(([name]) => isRule(name)).reduce((sum, [, more]) => sum + more, 0);
  // Only a rule refuses a connection, and only a wrong destination closes it.
  const silent = count((one) => lostOf(one, /^timeout$/)) - heldUp;
  const loud = lost - heldUp - unsent - silent;
  const unexplained = loud + Math.max(0, silent - dropped);
  return {
    attempts,
    lost,
    unexplained,
    reasons: [
      ...(ended === '' ? [] : [ended]),
      ...(heldUp === 0 ? [] : [`${heldUp} timed out in a client that could not run for longer than its timeout`]),
      ...(unsent === 0 ? [] : [`${unsent} found no free socket`]),
      ...(dropped === 0 ? [] : [`the kernel dropped ${dropped} packets for lack of room or time`]),
      ...(byRule === 0 ? [] : [`rules dropped or refused ${byRule} packets`]),
    ],
  };
}
