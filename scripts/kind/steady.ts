/**
 * Runs in the cluster's pods. `serve PORT` answers each connection with the name of its pod. `ask [ADDRESS]:PORT...` opens 200
 * connections a second to each target until standard input ends, and then reports on them. It exits with 0 if all were answered, else
 * with 1.
 */
import { hostname } from 'node:os';
import { serveEchoes } from '../../test/support/echo';
import { SteadyClient, type SteadyReport } from '../../test/support/prober-steady';

/** Longer than the second after which a lost SYN is sent again, so that a late connection does not count as failed. */
const timeoutMs = 3000;
const perSecond = 200;

function printReport(target: string, { attempts, failures, pods, latencyMs, longestPauseMs }: SteadyReport): string {
  const { p50, p99, max } = latencyMs;
  const served = Object.entries(pods).map(([pod, count]) => `${pod} ${count}`);
  return [
    `${target}: ${attempts} connections, ${failures.length} failed`,
    `  answered by ${served.length === 0 ? 'nobody' : served.sort().join(', ')}`,
    `  latency p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, maximum ${max.toFixed(1)} ms (a lost SYN adds 1000 ms)`,
    `  longest time in which the client could not run: ${longestPauseMs.toFixed(0)} ms`,
    ...failures.slice(0, 20).map(({ outcome, atMs }) => `  ${outcome} at ${new Date(atMs).toISOString()}`),
    ...(failures.length > 20 ? [`  and ${failures.length - 20} more`] : []),
  ].join('\n');
}

async function ask(targets: readonly string[]): Promise<boolean> {
  const clients = targets.map((target) => {
    const [, to = '', port = ''] = /^\[?([^\]]*)\]?:(\d+)$/.exec(target) ?? [];
    return { target, client: new SteadyClient({ to, port: Number(port), perSecond, timeoutMs }) };
  });
  console.log(`asking ${targets.join(' and ')}, ${perSecond} times a second`);
  await new Promise((resolve) => process.stdin.resume().on('end', resolve));
  const reports = await Promise.all(
    clients.map(async ({ target, client }) => ({ target, report: await client.stop() })),
  );
  for (const { target, report } of reports) console.log(printReport(target, report));
  return reports.every(({ report }) => report.attempts > 0 && report.failures.length === 0);
}

const [command, ...args] = process.argv.slice(2);
if (command === 'serve') void serveEchoes(hostname(), args.map(Number));
else if (command === 'ask' && args.length > 0) void ask(args).then((isWell) => (process.exitCode = isWell ? 0 : 1));
else {
  console.error('usage: steady serve PORT | steady ask [ADDRESS]:PORT...');
  process.exitCode = 2;
}
