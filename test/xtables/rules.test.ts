import fc from 'fast-check';
import { addJumps, chainText, countLines, countRules, emptyStep, printStep, slices } from '../../src/xtables/rules';

const jump = { table: 'filter', from: 'FORWARD', rule: '-j KUBE-FORWARD' } as const;
const stale = { table: 'filter', from: 'INPUT', rule: '-j KUBE-NODEPORTS' } as const;

test('a step is what iptables-restore --noflush takes: declarations, rules, jumps, and deletions last', () => {
  const step = {
    title: 'a step',
    tables: [
      {
        ...emptyStep('filter'),
        chains: [
          ['KUBE-FORWARD', chainText('KUBE-FORWARD', ['-j ACCEPT', '-j DROP'])],
          ['KUBE-EMPTY', ''],
        ] as const,
        appends: [['KUBE-FIREWALL', '-A KUBE-FIREWALL -j DROP']] as const,
        deletions: ['KUBE-OLD'],
        jumps: [jump],
        staleJumps: [stale],
      },
      emptyStep('nat'),
    ],
  };
  expect(printStep(step)).toBe(`*filter
:KUBE-FORWARD - [0:0]
:KUBE-EMPTY - [0:0]
:KUBE-OLD - [0:0]
-A KUBE-FORWARD -j ACCEPT
-A KUBE-FORWARD -j DROP
-A KUBE-FIREWALL -j DROP
-I FORWARD -j KUBE-FORWARD
-D INPUT -j KUBE-NODEPORTS
-X KUBE-OLD
COMMIT
*nat
COMMIT
`);
  expect(countRules([step])).toEqual({ rules: { nat: 0, filter: 4, mangle: 0 }, tables: ['nat', 'filter'] });
});

test('jumps count as rules, and the counts that were given stay as they are', () => {
  const counts = { nat: 1, filter: 2, mangle: 0 };
  expect(addJumps(counts, [jump, stale])).toEqual({ nat: 1, filter: 4, mangle: 0 });
  expect(counts).toEqual({ nat: 1, filter: 2, mangle: 0 });
});

test('lines are counted as chainText joins them', () => {
  fc.assert(
    fc.property(fc.array(fc.string().map((text) => text.replaceAll('\n', ''))), (rules) => {
      expect(countLines(chainText('KUBE-A', rules))).toBe(rules.length);
    }),
  );
});

test('slices have the size, but for the last one, and together they are the list', () => {
  fc.assert(
    fc.property(fc.array(fc.nat()), fc.integer({ min: 1, max: 10 }), (list, size) => {
      const parts = [...slices(list, size)];
      expect(parts.flat()).toEqual(list);
      expect(parts.slice(0, -1).every(({ length }) => length === size)).toBe(true);
      expect(parts.every(({ length }) => length > 0 && length <= size)).toBe(true);
    }),
  );
});
