import fc from 'fast-check';
import type { SliceEndpoint, WeightRule } from '../../src/model/cluster';
import { weightOf } from '../../src/planner/weights';
import { makeEndpoint } from '../support/cluster-objects';

/** What the annotation means, rule after rule. */
function weighByList({ address, nodeName, zone, target }: SliceEndpoint, rules: readonly WeightRule[]): number {
  const fits = ({ kind, value }: WeightRule): boolean =>
    kind === 'pod' ? target.startsWith(`Pod/${value}`) : { address, node: nodeName, zone }[kind] === value;
  return rules.find(fits)?.weight ?? 1;
}

const textArb = fc.constantFrom('', 'a', 'ab', 'abc', 'b', '10.0.0.1', '10.0.0.2');
const ruleArb: fc.Arbitrary<WeightRule> = fc.record({
  kind: fc.constantFrom('address', 'pod', 'node', 'zone'),
  value: textArb,
  weight: fc.nat(9),
});
const endpointArb = fc
  .record({
    address: fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3'),
    nodeName: textArb,
    zone: textArb,
    target: fc.oneof(
      textArb.map((name) => `Pod/${name}`),
      fc.constantFrom('', 'VirtualMachine/ab', 'Pod'),
    ),
  })
  .map(({ address, ...fields }) => makeEndpoint(address, fields));

test('of several rules the first that fits counts', () => {
  fc.assert(
    fc.property(fc.array(ruleArb, { maxLength: 12 }), fc.array(endpointArb, { maxLength: 6 }), (rules, endpoints) => {
      for (const endpoint of endpoints) expect(weightOf(endpoint, rules)).toBe(weighByList(endpoint, rules));
    }),
    { numRuns: 300 },
  );
});

test('rules are read once, however many endpoints are weighed', () => {
  let reads = 0;
  const rules = Array.from(
    { length: 256 },
    (_, i): WeightRule => ({
      get kind() {
        reads++;
        return 'pod' as const;
      },
      value: `web-${i}-`,
      weight: i,
    }),
  );
  for (let i = 0; i < 10_000; i++)
    expect(weightOf(makeEndpoint('10.0.0.1', { target: `Pod/web-${i % 256}-xyz` }), rules)).toBe(i % 256);
  expect(reads).toBe(256);
});
