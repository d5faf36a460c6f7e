import { matchHairpin } from '../../src/backends/iptables/render-fixed';
import { runFilter } from '../../src/trace/bpf';

const programOf = (family: 'IPv4' | 'IPv6'): string => /--bytecode "([^"]*)"/.exec(matchHairpin(family))?.[1] ?? '';

test.each([
  ['IPv4', '10.244.1.2', '10.244.1.2', true],
  ['IPv4', '10.244.1.2', '10.244.1.3', false],
  ['IPv6', 'fd44:1::2', 'fd44:1::2', true],
  // Each of the four words may differ.
  ['IPv6', 'fd44:1::2', 'fd44:1::3', false],
  ['IPv6', 'fd44:1::2', 'fd44:2::2', false],
  ['IPv6', 'fd44:1:0:1::2', 'fd44:1:0:2::2', false],
  ['IPv6', 'fd44:1::1:0:0:2', 'fd44:1::2:0:0:2', false],
] as const)('%s: the hairpin program for %s to %s', (family, source, destination, isHairpin) => {
  expect(runFilter(programOf(family), { family, source, destination }) !== 0).toBe(isHairpin);
});

const packet = { family: 'IPv4', source: '10.0.0.1', destination: '10.0.0.2' } as const;

test.each([
  ['2,6 0 0 1', /does not have the 2 instructions/],
  ['1,135 0 0 0', /does not know BPF instruction 135/],
  ['1,7 0 0 0', /does not return/],
])('%s is refused', (program, why) => expect(() => runFilter(program, packet)).toThrow(why));
