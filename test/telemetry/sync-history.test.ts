import { SyncHistory } from '../../src/telemetry/sync-history';

const hourMs = 3_600_000;

test('syncs of the same ten seconds are one step: count, mean and longest', () => {
  const history = new SyncHistory();
  for (const [atMs, ms] of [
    [10_000, 4],
    [19_999, 9],
    [20_000, 1.6],
  ] as const)
    history.add(atMs, ms);
  expect(history.lastHour(20_000)).toEqual([
    [10_000, 2, 7, 9],
    [20_000, 1, 2, 2],
  ]);
});

test('what is older than an hour is gone, with a later sync and without', () => {
  const history = new SyncHistory();
  history.add(0, 1);
  history.add(60_000, 2);
  expect(history.lastHour(hourMs)).toEqual([[60_000, 1, 2, 2]]);
  expect(history.lastHour(hourMs + 60_000)).toEqual([]);
  history.add(hourMs + 30_000, 3);
  expect(history.lastHour(hourMs)).toEqual([
    [60_000, 1, 2, 2],
    [hourMs + 30_000, 1, 3, 3],
  ]);
});

test('it holds at most an hour, however many syncs', () => {
  const history = new SyncHistory();
  for (let n = 0; n < 20_000; n++) history.add(n * 1000, 1);
  expect(history.lastHour(20_000_000).length).toBeLessThanOrEqual(360);
});
