import { join } from 'node:path';
import { type ModeCase, modeCases, type ModeReport, type ModeRun, modeRuns } from './mode-cases';
import { runInNetworkNamespace } from './network-namespace';

const guest = join(__dirname, '../kernel/modes.guest.ts');

/** Fails if the report has an entry about the case. */
function check(which: ModeCase, report: ModeReport): void {
  if (which === 'steps') expect(report.steps).toBeGreaterThan(1);
  else expect(report[which]).toEqual([]);
}

/**
 * The suite of every mode that runs on this kernel, with what it can and cannot show. `args`: the seed, the changes of the largest
 * round, and how many plain Services come last.
 */
export function describeModes(kernel: 'host' | 'guest', ...args: readonly string[]): void {
  const runs = Object.values(modeRuns).flatMap((of): readonly ModeRun[] => (of.kernel === kernel ? of.runs : []));
  describe.each(runs)('mode $mode, iptables $variant', ({ mode, variant, args: own = args, cannot = {} }) => {
    let report: ModeReport;
    beforeAll(async () => {
      report = (await runInNetworkNamespace(guest, mode, variant, ...own)) as ModeReport;
    }, 600_000);

    for (const which of Object.keys(modeCases) as ModeCase[]) {
      const reason = cannot[which];
      if (reason === undefined) test(modeCases[which], () => check(which, report));
      else test(`cannot: ${modeCases[which]} (${reason})`, () => expect(() => check(which, report)).toThrow());
    }
  });
}
