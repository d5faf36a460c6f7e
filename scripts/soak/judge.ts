/** Whose the lost connections are: the machine's, by its own counters, or the proxy's. */
import { canLose, isRule, movedCounters } from './counters';
import { type FrontendReport, patienceMs, type SideReport } from './side';

export interface Judgement {
  readonly attempts: number;
  readonly lost: number;
  /** Of those lost, what no counter of the kernel's explains: the proxy's. */
  readonly unexplained: number;
  /** A line each. */
  readonly reasons: readonly string[];
}

export function judge({ frontends, before, after, ended }: SideReport): Judgement {
  const count = (of: (frontend: FrontendReport) => number): number => frontends.reduce((sum, one) => sum + of(one), 0);
  const lostOf = (frontend: FrontendReport, wanted: RegExp): number =>
    Object.entries(frontend.lost).reduce((sum, [outcome, n]) => sum + (wanted.test(outcome) ? n : 0), 0);
  const attempts = count((one) => one.attempts);
  const lost = count((one) => lostOf(one, /./));
  const moved = movedCounters(before, after);
  // A client that was held up for longer than it waits cannot tell what it lost.
  const heldUp = count((one) => (one.heldUpMs >= patienceMs ? lostOf(one, /^timeout$/) : 0));
  // A socket could not be had at all: nothing was sent.
  const unsent = count((one) => lostOf(one, /^error:(EADDRNOTAVAIL|EMFILE|ENOBUFS|ENOMEM)$/));
  const dropped = moved.filter(([name]) => canLose(name)).reduce((sum, [, more]) => sum + more, 0);
  const byRule = moved.filter(([name]) => isRule(name)).reduce((sum, [, more]) => sum + more, 0);
  // Only a rule refuses, and only a wrong destination closes.
  const silent = count((one) => lostOf(one, /^timeout$/)) - heldUp;
  const loud = lost - heldUp - unsent - silent;
  const unexplained = loud + Math.max(0, silent - dropped);
  return {
    attempts,
    lost,
    unexplained,
    reasons: [
      ...(ended === '' ? [] : [ended]),
      ...(heldUp === 0 ? [] : [`${heldUp} timed out in a client that was held up for longer than it waits`]),
      ...(unsent === 0 ? [] : [`${unsent} found no free socket`]),
      ...(dropped === 0 ? [] : [`the kernel dropped ${dropped} packets for want of room or time`]),
      ...(byRule === 0 ? [] : [`rules dropped or refused ${byRule} packets`]),
    ],
  };
}
