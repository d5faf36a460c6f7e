import { repeat } from '../../src/daemon/repeat';
import { createLogger } from '../../src/telemetry/logger';
import { parseLogLine } from '../support/log-lines';

test('works after each pause, whatever fails, until the signal', async () => {
  const ended = new AbortController();
  const events: string[] = [];
  let times = 0;
  await repeat({
    clock: {
      now: () => 0,
      epochMs: () => 0,
      sleep: (ms) => {
        events.push(`pause ${ms}`);
        if (times === 3) ended.abort();
        return Promise.resolve();
      },
    },
    log: createLogger({ verbosity: 0, format: 'json' }, (line) => events.push(String(parseLogLine(line)['reason']))),
    signal: ended.signal,
    pauseMs: () => 10 * (times + 1),
    work: () => {
      events.push(`work ${++times}`);
      return times === 2 ? Promise.reject(new Error('failed')) : Promise.resolve();
    },
  });
  expect(events).toEqual(['pause 10', 'work 1', 'pause 20', 'work 2', 'failed', 'pause 30', 'work 3', 'pause 40']);
});
