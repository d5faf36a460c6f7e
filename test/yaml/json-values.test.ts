import fc from 'fast-check';
import { readJsonValues } from '../../src/yaml/json-values';

test('documents back to back, and with --- between them', () => {
  const text = '{"a":1}[2,{"b":"}"}]\n--- \n{"c":"\\"{"}\n';
  expect(readJsonValues(text)).toEqual([
    { value: { a: 1 }, depth: 1, offset: 0 },
    { value: [2, { b: '}' }], depth: 2, offset: 7 },
    { value: { c: '"{' }, depth: 1, offset: text.indexOf('{"c"') },
  ]);
  expect(readJsonValues(' \n---\n')).toEqual([]);
});

test.each(['a: 1', '{"a":1} x', '{"a":1', '{a:1}', '"text"', '1', '{"a":1}-- -{"b":2}'])(
  '%s is something else',
  (text) => expect(readJsonValues(text)).toBeUndefined(),
);

test('a million levels cost no stack', () => {
  expect(readJsonValues('['.repeat(1_000_000))).toBeUndefined();
});

test('what JSON.stringify writes is read as it was', () => {
  const whole = fc.oneof(fc.dictionary(fc.string(), fc.jsonValue()), fc.array(fc.jsonValue()));
  fc.assert(
    fc.property(fc.array(whole, { maxLength: 5 }), fc.constantFrom('', '\n', '\n---\n'), (values, between) => {
      const plain = values.map((value) => JSON.parse(JSON.stringify(value)) as unknown);
      const read = readJsonValues(plain.map((value) => JSON.stringify(value)).join(between));
      expect(read?.map(({ value }) => value)).toEqual(plain);
    }),
  );
});
