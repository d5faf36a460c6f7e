import fc from 'fast-check';
import { diffLines } from '../../src/diff/line-diff';

const linesArb = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 12 });

test('gives both lists back, and says no more than is different', () => {
  fc.assert(
    fc.property(linesArb, linesArb, (before, after) => {
      const lines = diffLines(before, after);
      const without = (sign: string): string[] => lines.filter((line) => line.sign !== sign).map(({ text }) => text);
      expect(without('+')).toEqual(before);
      expect(without('-')).toEqual(after);
      if (before.join() === after.join()) expect(lines.every(({ sign }) => sign === ' ')).toBe(true);
    }),
  );
});

test('keeps the longest that is common', () => {
  expect(diffLines(['a', 'b', 'c', 'd'], ['b', 'x', 'd']).map(({ sign, text }) => sign + text)).toEqual([
    '-a',
    ' b',
    '-c',
    '+x',
    ' d',
  ]);
});

test('lists too long for that are told as gone and come', () => {
  const many = (letter: string): string[] => Array.from({ length: 3000 }, (_, n) => `${letter}${n}`);
  const lines = diffLines(['same', ...many('a')], ['same', ...many('b')]);
  expect(lines).toHaveLength(6001);
  expect(lines[0]).toEqual({ sign: ' ', text: 'same' });
});
