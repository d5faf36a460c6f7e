import fc from 'fast-check';
import { mergeTrails } from '../../src/explain/merge-trails';
import type { MatchedRule, Outcome } from '../../src/trace/packet';

const rule = (text: string, chain = 'KUBE-SERVICES'): MatchedRule => ({ table: 'nat', chain, text });

function outcome(probability: number, rules: readonly MatchedRule[]): Outcome {
  return {
    kind: 'forwarded',
    address: '10.244.1.2',
    port: 8080,
    source: '10.244.1.4',
    isMasqueraded: false,
    recent: new Set(),
    rememberedSeconds: 0,
    probability,
    rulesWalked: rules.length,
    rules,
  };
}

test('a rule on several ways has the sum of their shares', () => {
  const [first, pickA, pickB, last] = [rule('-j SVC'), rule('-j A', 'SVC'), rule('-j B', 'SVC'), rule('-j ACCEPT')];
  const merged = mergeTrails([outcome(0.75, [first, pickA, last]), outcome(0.25, [first, pickB, last])]);
  // The second way is put in where it leaves the first.
  expect(merged.map(({ text, share }) => [text, share])).toEqual([
    ['-j SVC', 1],
    ['-j B', 0.25],
    ['-j A', 0.75],
    ['-j ACCEPT', 1],
  ]);
});

test('the same text in another chain is another rule', () => {
  expect(mergeTrails([outcome(1, [rule('-j X', 'A'), rule('-j X', 'B')])])).toHaveLength(2);
});

const trailsArb = fc.array(
  fc.record({
    probability: fc.double({ min: 0, max: 1, noNaN: true }),
    texts: fc.subarray(['a', 'b', 'c', 'd', 'e', 'f']),
  }),
);

test('each trail is in the list in its own order, and no share is lost', () => {
  fc.assert(
    fc.property(trailsArb, (trails) => {
      const merged = mergeTrails(
        trails.map(({ probability, texts }) =>
          outcome(
            probability,
            texts.map((text) => rule(text)),
          ),
        ),
      );
      const list = merged.map(({ text }) => text);
      for (const { texts } of trails) {
        let at = -1;
        for (const text of texts) {
          at = list.indexOf(text, at + 1);
          expect(at).toBeGreaterThanOrEqual(0);
        }
      }
      const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
      const expected = total(trails.map(({ probability, texts }) => probability * texts.length));
      expect(total(merged.map(({ share }) => share))).toBeCloseTo(expected);
    }),
  );
});
