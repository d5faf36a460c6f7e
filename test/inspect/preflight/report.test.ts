import { fail, ok, warn } from '../../../src/machine/finding';
import { hasFailed, printJson, printTable, some } from '../../../src/inspect/preflight/report';

const findings = [ok('kernel', '6.1'), warn('NodePorts', 'taken', 'ask ss'), fail('iptables', 'none', '')];

test('the table: what to do stands below', () => {
  expect(printTable('title', findings)).toBe(`title

CHECK      RESULT  FOUND
kernel     ok      6.1
NodePorts  warn    taken
                   -> ask ss
iptables   fail    none

1 ok, 1 warn, 1 fail
`);
});

test('JSON has all of it', () => {
  expect(JSON.parse(printJson('ipvs', 'n', findings))).toEqual({ mode: 'ipvs', node: 'n', failed: true, findings });
  expect(hasFailed(findings.slice(0, 2))).toBe(false);
});

test.each([
  [['a'], 'a'],
  [['a', 'b', 'c'], 'a, b, c'],
  [['a', 'b', 'c', 'd', 'e'], 'a, b, c and 2 more'],
])('%j is %s', (items, text) => {
  expect(some(items)).toBe(text);
});
