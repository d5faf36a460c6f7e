import { ApiError } from '../../../src/sources/kubernetes/api-client';
import { Reachability } from '../../../src/sources/kubernetes/reachability';
import { RetryWaits } from '../../../src/sources/kubernetes/retry-waits';
import { createLogger } from '../../../src/telemetry/logger';
import { FakeClock } from '../../reconciler/fake-clock';
import { parseLogLine } from '../../support/log-lines';

/** Without chance: the waits are 1, 2, 4 and 4 s. */
function waiting(): {
  readonly waits: RetryWaits;
  readonly clock: FakeClock;
  readonly stopping: AbortController;
  readonly told: string[];
} {
  const clock = new FakeClock();
  const told: string[] = [];
  const log = createLogger({ verbosity: 0, format: 'json' }, (line) => told.push(parseLogLine(line).msg));
  const reachability = new Reachability('https://10.96.0.1', clock, log);
  const timing = { backoff: { initialMs: 1000, maxMs: 8000, resetMs: 60_000 } };
  const stopping = new AbortController();
  const waits = new RetryWaits('services', { clock, log, reachability, timing, random: () => 0 }, stopping.signal);
  return { waits, clock, stopping, told };
}

/** How long the next wait is, which then ends. */
async function lengthOf(wait: Promise<void>, clock: FakeClock): Promise<number> {
  const [ms = Number.NaN] = clock.waitsMs;
  await clock.advance(ms);
  await wait;
  return ms;
}

test('every failure counts, whatever kind it is of', async () => {
  const { waits, clock } = waiting();
  const failure = new Error('reset');
  expect([
    await lengthOf(waits.loudly(failure), clock),
    await lengthOf(waits.quietly(failure), clock),
    await lengthOf(waits.forResource(), clock),
    await lengthOf(waits.loudly(failure), clock),
  ]).toEqual([1000, 2000, 4000, 4000]);
});

test.each([
  [30_000, 30_000],
  [10, 1000],
])('Retry-After of %i ms: a wait of %i ms', async (retryAfterMs, ms) => {
  const { waits, clock } = waiting();
  const failure = new ApiError(429, 'TooManyRequests', 'slow down', retryAfterMs);
  expect(await lengthOf(waits.loudly(failure), clock)).toBe(ms);
});

test('only a loud failure is told, once', async () => {
  const { waits, clock, told } = waiting();
  await lengthOf(waits.quietly(new Error('reset')), clock);
  await lengthOf(waits.forResource(), clock);
  expect(told).toEqual([]);
  await lengthOf(waits.loudly(new Error('reset')), clock);
  await lengthOf(waits.loudly(new Error('reset')), clock);
  expect(told).toEqual(['API server does not answer; rules stay as they are']);
});

test.each(['loudly', 'quietly', 'forResource'] as const)('%s: the wait ends when it is stopped', async (how) => {
  const { waits, clock, stopping } = waiting();
  const wait = waits[how](new Error('reset'));
  stopping.abort();
  await wait;
  expect(clock.waitsMs).toEqual([]);
});
