import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { sameValue } from '../../src/model/same-value';

test.each<[unknown, unknown, boolean]>([
  [{ a: [1, { b: null }] }, { a: [1, { b: null }] }, true],
  [{ a: 1, b: 2 }, { b: 2, a: 1 }, true],
  [[1, 2], [1], false],
  [[1, 2], [2, 1], false],
  [[], {}, false],
  [{}, [], false],
  [null, {}, false],
  ['1', 1, false],
  // A field that is absent is not one that is undefined.
  [{ a: undefined }, {}, false],
  [{ a: undefined }, { b: undefined }, false],
])('%j and %j', (a, b, expected) => {
  expect(sameValue(a, b)).toBe(expected);
});

test('of values of JSON it says what node says', () => {
  const value = fc.jsonValue({ maxDepth: 2 }).map((any): unknown => JSON.parse(JSON.stringify(any)));
  fc.assert(
    fc.property(value, value, (a, b) => {
      expect(sameValue(a, b)).toBe(isDeepStrictEqual(a, b));
      expect(sameValue(a, structuredClone(a))).toBe(true);
    }),
  );
});
