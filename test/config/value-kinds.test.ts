import { bool, cidrList, integer, list, switches, type ValueKind, vmodule } from '../../src/config/value-kinds';

const parsed: readonly [string, ValueKind<unknown>, string, unknown][] = [
  ['bool', bool, 'T', true],
  ['bool', bool, 'False', false],
  ['bool', bool, 'yes', undefined],
  ['bool', bool, '', undefined],
  ['integer', integer, '0x10', 16],
  ['integer', integer, '-0b11', -3],
  ['integer', integer, '2147483647', 2_147_483_647],
  ['integer', integer, '2147483648', undefined],
  ['integer', integer, '1.5', undefined],
  ['list', list, ' a, ,b,', ['a', 'b']],
  ['list of CIDRs', cidrList, '10.0.0.0/8, fd00::/8', ['10.0.0.0/8', ' fd00::/8']],
  ['list of CIDRs', cidrList, '', []],
  ['switches', switches, 'A=true,B=f', { A: true, B: false }],
  ['switches', switches, 'A', undefined],
  ['switches', switches, '=true', undefined],
  ['switches', switches, 'A=maybe', undefined],
  ['vmodule', vmodule, 'a*=5', [{ filePattern: 'a*', verbosity: 5 }]],
  ['vmodule', vmodule, 'a=b', undefined],
];

test.each(parsed)('%s: a flag that says "%3$s"', (_, kind, flag, value) => expect(kind.parse(flag)).toEqual(value));

test.each<readonly [ValueKind<unknown>, unknown]>([
  [bool, 'true'],
  [integer, '1'],
  [integer, 1.5],
  [list, ['a', 1]],
  [list, 'a'],
  [switches, { A: 'true' }],
  [switches, ['A']],
  [vmodule, [{ filePattern: 'a' }]],
])('a document with a value of another type is refused: %#', (kind, value) =>
  expect(kind.decode(value)).toBeUndefined(),
);

test('a flag that is given twice: lists are joined, and the last of doubled switches counts', () => {
  expect(list.join?.(['a'], ['b'])).toEqual(['a', 'b']);
  expect(switches.join?.({ A: true, B: true }, { B: false })).toEqual({ A: true, B: false });
  expect(bool).not.toHaveProperty('join');
});
