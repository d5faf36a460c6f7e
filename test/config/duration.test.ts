import { formatDuration, parseDuration } from '../../src/config/duration';

test.each([
  ['0', 0],
  ['0s', 0],
  ['30s', 30_000],
  ['100ms', 100],
  ['1h30m', 5_400_000],
  ['1h0m5s', 3_605_000],
  ['1.5s', 1500],
  ['.5m', 30_000],
  ['1.s', 1000],
  ['250us', 0.25],
  ['250µs', 0.25],
  ['250μs', 0.25],
  ['1000000ns', 1],
  ['-1m', -60_000],
  ['+2s', 2000],
])('%s is %d ms', (text, ms) => {
  expect(parseDuration(text)).toBeCloseTo(ms, 9);
});

test.each(['', '30', 's', '-', '1d', '1h 30m', '1h30', '1,5s', 'PT30S', '1.2.3s'])('%j is no duration', (text) => {
  expect(parseDuration(text)).toBeUndefined();
});

test.each([
  [0, '0s'],
  [100, '100ms'],
  [30_000, '30s'],
  [5_400_000, '1h30m'],
  [86_400_000, '24h'],
  [-60_000, '-1m'],
])('%d ms reads %s', (ms, text) => {
  expect(formatDuration(ms)).toBe(text);
  expect(parseDuration(text)).toBe(ms);
});
