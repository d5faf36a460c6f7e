/**
 * Opens connections at a steady rate to every kind of frontend, from four clients over two uplinks, through vipwire's rules. At the same
 * time, and on the same kernel, it opens as many through rules that kube-proxy wrote. The kernel's counters explain lost connections;
 * it exits with 1 when vipwire lost one that they do not explain. Usage: soak.ts [--seconds 60] [--rate 500], as root.
 */
import { parseArgs } from 'node:util';
import { alignColumns } from '../src/inspect/columns';
import { messageOf } from '../src/model/error-message';
import { movedCounters } from './soak/counters';
import { type Judgement, judge } from './soak/judge';
import { type SideReport, type SoakRequest, SoakSide } from './soak/side';

/** The highest rate. It is more than two sides and their clients can open on a machine with few cores. */
const mostPerSecond = 5000;
const mostCounters = 14;

function readRequest(): SoakRequest {
  const { values } = parseArgs({ options: { seconds: { type: 'string' }, rate: { type: 'string' } } });
  const seconds = Number(values.seconds ?? '60');
  const rate = Number(values.rate ?? '500');
  if (!(seconds >= 1 && seconds <= 86_400))
    throw new Error(`--seconds: want 1 to 86400, found "${values.seconds ?? ''}"`);
  if (!(rate >= 1 && rate <= mostPerSecond))
    throw new Error(`--rate: want 1 to ${mostPerSecond}, found "${values.rate ?? ''}"`);
  return { seconds, rate };
}

function printSides(sides: readonly SideReport[]): string {
  const [first] = sides;
  const columns = sides.flatMap(({ proxy }) => [proxy, 'LOST', 'P99 MS']);
  const lostOf = (lost: Readonly<Record<string, number>>): string =>
    Object.entries(lost)
      .map(([outcome, n]) => `${n} ${outcome}`)
      .join(', ') || '0';
  const rows = (first?.frontends ?? []).map(({ name }, i) => [
    name,
    ...sides.flatMap(({ frontends }) => {
      const { attempts = 0, lost = {}, p99Ms = 0 } = frontends[i] ?? {};
      return [attempts.toString(), lostOf(lost), p99Ms.toFixed(1)];
    }),
  ]);
  return alignColumns([['FRONTEND', ...columns], ...rows]);
}

function printCounters({ proxy, before, after }: SideReport): string {
  const moved = movedCounters(before, after);
  const rest = moved.length > mostCounters ? [['...', `and ${moved.length - mostCounters} more`]] : [];
  const rows = moved.slice(0, mostCounters).map(([name, more]) => [name, more.toString()]);
  return alignColumns([[`COUNTERS (${proxy})`, 'MORE'], ...rows, ...rest]);
}

function printJudgement(proxy: string, { attempts, lost, unexplained, reasons }: Judgement): string {
  const share = attempts === 0 ? '' : ` (${((lost / attempts) * 100).toFixed(3)} %)`;
  const why = reasons.length === 0 ? '' : `: ${reasons.join('; ')}`;
  return `${proxy}: ${attempts} connections, ${lost} lost${share}, ${unexplained} of them by the proxy${why}\n`;
}

async function main(): Promise<number> {
  const request = readRequest();
  const sides = (['vipwire', 'kube-proxy'] as const).map((proxy) => new SoakSide(proxy));
  const stop = (): Promise<unknown> => Promise.all(sides.map((side) => side.stop()));
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void stop().finally(() => process.exit(130)));
  try {
    for (const side of sides) await side.start();
    const reports = await Promise.all(sides.map((side) => side.soak(request)));
    const judged = reports.map((report) => ({ ...report, judgement: judge(report) }));
    const lines = judged.map(({ proxy, judgement }) => printJudgement(proxy, judgement));
    process.stdout.write([printSides(reports), ...reports.map(printCounters), lines.join('')].join('\n'));
    const [ours] = judged;
    const isAll = judged.every(({ judgement: { attempts } }) => attempts >= (request.rate * request.seconds) / 2);
    if (!isAll)
      process.stdout.write(
        'fewer than half of the connections were opened, because the machine was too busy: this run shows nothing\n',
      );
    return ours?.judgement.unexplained === 0 && ours.ended === '' && isAll ? 0 : 1;
  } finally {
    await stop();
  }
}

main().then(
  (code) => (process.exitCode = code),
  (error: unknown) => {
    process.stderr.write(`soak: ${messageOf(error)}\n`);
    process.exitCode = 2;
  },
);
