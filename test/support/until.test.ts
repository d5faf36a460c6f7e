import { until } from './until';

test('looks again until the condition holds, and returns the time that it took', async () => {
  let looks = 0;
  expect(await until(() => ++looks === 3, { everyMs: 20 })).toBeGreaterThanOrEqual(35);
  expect(looks).toBe(3);
  expect(await until(() => Promise.resolve(true))).toBeLessThan(1000);
});

test('after the limit the error says what was waited for, and what else is known', async () => {
  const events: string[] = [];
  const never = until(() => events.length > 0, { limitMs: 10 });
  await expect(never).rejects.toThrow(/^not within 10 ms: \(\)\s*=>\s*events\.length > 0$/);
  const named = until(() => false, { what: 'a line', limitMs: 10, details: () => 'the log' });
  await expect(named).rejects.toThrow('not within 10 ms: a line\nthe log');
});

test('an error of the condition ends the wait', async () => {
  await expect(until(() => Promise.reject(new Error('no such file')))).rejects.toThrow('no such file');
});
