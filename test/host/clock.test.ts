import { found } from '../../src/model/answer';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../src/host/clock';
import { ProxyHealth } from '../../src/servers/proxy-health';
import { DriftWatch } from '../../src/machine/drift';
import { FakeClock } from '../reconciler/fake-clock';

const dayMs = 86_400_000;

test('durations do not follow the clock of the wall', () => {
  const realNow = Date.now.bind(Date);
  const before = { now: systemClock.now(), epochMs: systemClock.epochMs() };
  try {
    for (const wrongMs of [-dayMs, dayMs]) {
      Date.now = () => realNow() + wrongMs;
      expect(systemClock.now() - before.now).toBeGreaterThanOrEqual(0);
      expect(systemClock.now() - before.now).toBeLessThan(dayMs / 2);
      expect(Math.abs(systemClock.epochMs() - before.epochMs - wrongMs)).toBeLessThan(dayMs / 2);
    }
  } finally {
    Date.now = realNow;
  }
});

/** What tells times to people and other machines. Everything else takes Clock.now. */
const tellTheTime: readonly string[] = [
  'cli/diff.ts',
  'cli/dry-run.ts',
  'cli/preflight.ts',
  'cli/run.ts',
  'daemon/agent-telemetry.ts',
  'daemon/agent.ts',
  'daemon/open-servers.ts',
  'inspect/node-plan.ts',
  'host/clock.ts',
  'servers/healthz-server.ts',
  'servers/zpages.ts',
  // A date that the server gives.
  'sources/kubernetes/retry-after.ts',
  'sources/kubernetes/event-recorder.ts',
  'telemetry/logger.ts',
  'telemetry/open-questions.ts',
  'telemetry/process-metrics.ts',
  'telemetry/status-board.ts',
];

test('the time of the day is asked for only where it is told', () => {
  const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  expect(files.length).toBeGreaterThan(200);
  const asking = files.filter((file) =>
    /Date\.now|new Date\(\)|\bepochMs\b/.test(readFileSync(join('src', file), 'utf8')),
  );
  expect(asking.filter((file) => !tellTheTime.includes(file))).toEqual([]);
});

describe.each([
  ['back', -dayMs],
  ['forward', dayMs],
])('with the clock of the wall put %s a day', (_, aheadMs) => {
  test('what somebody else wrote is looked for as often as before', async () => {
    const clock = new FakeClock();
    const options = {
      clock,
      lookForFlush: () => Promise.resolve(found(true as const)),
      fullCheckMs: 30_000,
      readShare: 0.1,
    };
    const watch = new DriftWatch(options);
    await watch.start();
    clock.wallAheadMs = aheadMs;
    await clock.advance(29_000);
    expect(await watch.shouldRead()).toBe(false);
    await clock.advance(1000);
    expect(await watch.shouldRead()).toBe(true);
  });

  test('a proxy is as healthy as it was', async () => {
    const clock = new FakeClock();
    const health = new ProxyHealth(() => 60_000);
    health.updated('IPv4', clock.now());
    health.queuedUpdate('IPv4', clock.now());
    clock.wallAheadMs = aheadMs;
    await clock.advance(59_000);
    expect(health.health(clock.now()).healthy).toBe(true);
    await clock.advance(1000);
    expect(health.health(clock.now()).healthy).toBe(false);
  });
});
