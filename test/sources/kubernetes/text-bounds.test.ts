import { oneLine } from '../../../src/sources/kubernetes/text-bounds';

test.each([
  ['as it is', 'as it is'],
  ['  two\n\tlines\r\n', 'two lines'],
  ['', ''],
  ['x'.repeat(500), 'x'.repeat(500)],
  ['x'.repeat(501), `${'x'.repeat(500)}...`],
])('%j on one line', (text, line) => expect(oneLine(text)).toBe(line));

test('a shorter limit', () => expect(oneLine('one two three', 7)).toBe('one two...'));
