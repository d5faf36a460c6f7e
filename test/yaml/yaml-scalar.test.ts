import { parseKubernetesYaml } from '../../src/yaml/parse-kubernetes-yaml';
import { mistakesOf, valueOf } from './read';

/** What sigs.k8s.io/yaml, which is go-yaml v2 and JSON, makes of `v: <scalar>`. */
describe('a scalar', () => {
  test.each([
    ['yes', true],
    ['Yes', true],
    ['YES', true],
    ['yEs', 'yEs'],
    ['y', true],
    ['Y', true],
    ['on', true],
    ['On', true],
    ['true', true],
    ['TRUE', true],
    ['tRue', 'tRue'],
    ['no', false],
    ['NO', false],
    ['n', false],
    ['off', false],
    ['Off', false],
    ['false', false],
    ['"no"', 'no'],
    ["'yes'", 'yes'],
    ['', null],
    ['~', null],
    ['null', null],
    ['Null', null],
    ['NULL', null],
    ['nil', 'nil'],
    ['"~"', '~'],
    ['0', 0],
    ['-0', 0],
    ['+12', 12],
    ['1_000', 1000],
    ['_1000', '_1000'],
    ['0777', 511],
    ['0o777', 511],
    ['-0777', -511],
    ['08', 8],
    ['0x1F', 31],
    ['0x_1f', 31],
    ['0b101', 5],
    ['-0b101', -5],
    ['0xZZ', '0xZZ'],
    ['18446744073709551615', 18446744073709551615],
    ['0x1ffffffffffffffff', '0x1ffffffffffffffff'],
    ['1.5', 1.5],
    ['1.', 1],
    ['.5', 0.5],
    ['.5e3', 500],
    ['1e3', 1000],
    ['1_0.5', 10.5],
    ['1e400', '1e400'],
    ['.', '.'],
    ['12:30', '12:30'],
    ['190:20:30', '190:20:30'],
    ['2024-01-01', '2024-01-01'],
    ['2024-01-01T10:00:00Z', '2024-01-01T10:00:00Z'],
    ['10.0.0.1', '10.0.0.1'],
    ['10.244.0.0/16', '10.244.0.0/16'],
    ['fd00::1', 'fd00::1'],
    ['1.2.3', '1.2.3'],
    ['80a', '80a'],
    ['!!str 80', '80'],
    ['!!int "80"', 80],
    ['!!float 80', 80],
    ['!!bool "yes"', true],
    ['!!binary aGVsbG8=', 'hello'],
    ['!mine 80', '80'],
    ['!!timestamp 2024-01-01', '2024-01-01'],
    ['<<', '<<'],
    ['=', '='],
  ] as [string, unknown][])('%s is %j', (scalar, value) => {
    expect(valueOf(`v: ${scalar}\n`)).toEqual({ v: value });
    expect(valueOf(`{v: ${scalar}}`)).toEqual({ v: value });
  });

  test.each(['.inf', '-.Inf', '+.INF', '.nan', '.NaN', '!!int x', '!!bool 7', '!!int 1.5'])(
    '%s has no value in JSON, and its place is told',
    (scalar) => {
      expect(mistakesOf(`a: 1\nv: ${scalar}\n`)).toEqual([expect.stringMatching(/^syntax 2:\d+ /)]);
      expect(parseKubernetesYaml(`v: ${scalar}\n`).documents).toEqual([]);
    },
  );

  test('in quotes, folded or literal is text', () => {
    expect(valueOf('a: "0777"\nb: |-\n  yes\nc: >-\n  12\n')).toEqual({ a: '0777', b: 'yes', c: '12' });
  });
});

test('keys are text, whatever they look like', () => {
  expect(valueOf('y: z')).toEqual({ true: 'z' });
  expect(valueOf('1: a\n0x10: b\nyes: c\n1.5: d\n2024-01-01: e\n"7": f\n')).toEqual({
    1: 'a',
    16: 'b',
    true: 'c',
    1.5: 'd',
    '2024-01-01': 'e',
    7: 'f',
  });
});

test.each(['~: a', '? [1]\n: a', '? {a: 1}\n: a'])('%j has no key that JSON has', (text) => {
  expect(mistakesOf(text)).toEqual([expect.stringMatching(/^syntax 1:\d+ a key must be text/)]);
});
