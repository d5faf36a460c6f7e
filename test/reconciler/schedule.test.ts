import { planNextRound, type ScheduleState } from '../../src/reconciler/schedule';

const settings = { minPeriodMs: 1000, maxRetryMs: 30_000 };
const at = (lastEndedMs: number | undefined, hasWork: boolean, failures = 0): ScheduleState => ({
  lastEndedMs,
  hasWork,
  failures,
});

test.each<[string, ScheduleState, number, number | undefined]>([
  ['nothing to do before the first round', at(undefined, false), 0, undefined],
  ['the first round', at(undefined, true), 0, 0],
  ['nothing to do', at(5000, false), 9000, undefined],
  ['a change after a quiet time', at(5000, true), 6000, 0],
  ['a change long after', at(5000, true), 60_000, 0],
  ['a change right after a round', at(5000, true), 5000, 1000],
  ['a change some time after', at(5000, true), 5400, 600],
  ['a clock that was put back an hour: no longer than the period', at(3_605_000, true), 5000, 1000],
  ['a first failure: not before any other round might run', at(5000, false, 1), 5000, 1000],
  ['a second failure', at(5000, false, 2), 5000, 1000],
  ['a third failure', at(5000, false, 3), 5000, 2000],
  ['a fifth failure, some time after', at(5000, false, 5), 6000, 7000],
  ['many failures', at(5000, false, 40), 5000, 30_000],
  ['so many that the power is infinite', at(5000, false, 5000), 5000, 30_000],
  ['a change after many failures: a reason to try again', at(5000, true, 40), 5000, 1000],
])('%s', (_, state, nowMs, waitMs) => {
  expect(planNextRound(state, settings, nowMs)).toBe(waitMs);
});

test.each([
  [1, 500],
  [2, 1000],
  [3, 2000],
  [4, 4000],
  [7, 30_000],
])('without a least period, failure %i is tried again after %i ms', (failures, waitMs) => {
  expect(planNextRound(at(0, false, failures), { minPeriodMs: 0, maxRetryMs: 30_000 }, 0)).toBe(waitMs);
});

test('without a least period a change goes out at once, right after a round too', () => {
  expect(planNextRound(at(5000, true), { minPeriodMs: 0, maxRetryMs: 30_000 }, 5000)).toBe(0);
});
