import { serviceKey } from '../../src/model/cluster';
import { TriggerTimes } from '../../src/reconciler/trigger-times';

const web = serviceKey('default', 'web');
const api = serviceKey('default', 'api');
const of = (...keys: (typeof web)[]): Map<typeof web, true> => new Map(keys.map((key) => [key, true]));

test('times of the Services that a round changed are returned once', () => {
  const times = new TriggerTimes();
  times.add(new Map([[web, [1, 2]]]));
  times.add(
    new Map([
      [web, [3]],
      [api, [4]],
    ]),
  );
  expect(times.begin().end(of(web, api))).toEqual([1, 2, 3, 4]);
  expect(times.begin().end(of(web, api))).toEqual([]);
});

test('a change that made no difference has none, now and later', () => {
  const times = new TriggerTimes();
  times.add(new Map([[web, [1]]]));
  expect(times.begin().end(of(api))).toEqual([]);
  expect(times.begin().end(of(web))).toEqual([]);
});

test('what comes during a round is of the next one, and a round that fails keeps its own', () => {
  const times = new TriggerTimes();
  times.add(new Map([[web, [1]]]));
  times.begin();
  const round = times.begin();
  times.add(new Map([[web, [2]]]));
  expect(round.end(of(web))).toEqual([1]);
  expect(times.begin().end(of(web))).toEqual([2]);
});
