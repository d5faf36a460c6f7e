import { LatestVersion } from '../../../src/sources/kubernetes/latest-version';
import { WentBackError } from '../../../src/sources/kubernetes/watch-end';

function at(version: string): LatestVersion {
  const latest = new LatestVersion();
  latest.setByList(version);
  return latest;
}

test('a list counts, and says whether it is older than what was known', () => {
  const latest = new LatestVersion();
  expect(latest.value).toBe('');
  expect(['10', '9', '100', '100'].map((version) => [latest.setByList(version), latest.value])).toEqual([
    [false, '10'],
    [true, '9'],
    [false, '100'],
    [false, '100'],
  ]);
});

test.each([
  ['9', '10', '10'],
  ['10', '9', '10'],
  ['10', '10', '10'],
  ['10', '', '10'],
])('at %s, an event of %j: %s', (version, event, result) => {
  const latest = at(version);
  latest.setByEvent(event);
  expect(latest.value).toBe(result);
});

test('a bookmark goes forward, and never back', () => {
  const latest = at('9');
  latest.setByBookmark('10');
  expect(latest.value).toBe('10');
  expect(() => latest.setByBookmark('9')).toThrow(new WentBackError('versions went back from 10 to 9'));
  expect(latest.value).toBe('10');
});
