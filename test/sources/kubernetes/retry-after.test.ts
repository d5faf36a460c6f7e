import { parseRetryAfter } from '../../../src/sources/kubernetes/retry-after';

const date = 'Sat, 28 Nov 2026 08:00:00 GMT';

it.each<[string | undefined, number | undefined]>([
  ['0', 0],
  ['1', 1000],
  [' 30 ', 30_000],
  ['60', 60_000],
  ['61', 60_000],
  ['900000', 60_000],
  ['99999999999999999999999999', 60_000],
  ['-5', undefined],
  ['1.5', undefined],
  ['1e3', undefined],
  ['soon', undefined],
  ['', undefined],
  ['2', 2000],
  [undefined, undefined],
  ['Sat, 28 Nov 2026 08:00:20 GMT', 20_000],
  ['Saturday, 28-Nov-26 08:00:20 GMT', 20_000],
  ['Sat, 28 Nov 2026 07:59:00 GMT', 0],
  ['Sat, 28 Nov 2099 08:00:00 GMT', 60_000],
  ['Sat, 99 Nov 2026', undefined],
])('%p asks for %p ms', (text, ms) => {
  expect(parseRetryAfter(text, date)).toBe(ms);
});

it('compares with the clock of this machine where the answer has no date', () => {
  const inTen = new Date(Date.now() + 10_000).toUTCString();
  expect(parseRetryAfter(inTen, undefined)).toBeGreaterThan(5000);
  expect(parseRetryAfter(inTen, 'yesterday')).toBeLessThanOrEqual(10_000);
});
