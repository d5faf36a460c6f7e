import { decodeScheduler, decodeWeights } from '../../src/sources/kubernetes/decode-balancing';
import type { Fields, WarnOf } from '../../src/sources/kubernetes/decode-fields';

function decoded<T>(decode: (annotations: Fields, warn: WarnOf) => T, annotations: Fields): [T, string[]] {
  const warnings: string[] = [];
  return [decode(annotations, (kind, message) => warnings.push(`${kind} ${message}`)), warnings];
}

describe('a scheduler', () => {
  test.each([
    [{}, undefined],
    [{ 'vipwire.io/scheduler': 'wlc' }, 'wlc'],
    [{ 'kube-router.io/service.scheduler': 'sh' }, 'sh'],
    [{ 'kube-router.io/service.scheduler': 'sh', 'vipwire.io/scheduler': ' mh,mh-port ' }, 'mh,mh-port'],
  ])('%j: %s', (annotations, scheduler) => {
    expect(decoded(decodeScheduler, annotations)).toEqual([scheduler, []]);
  });

  test.each([['best'], [''], ['rr,sh-port'], ['rr; rm -rf /'], [7]])('%j is warned of', (value) => {
    const [scheduler, warnings] = decoded(decodeScheduler, { 'vipwire.io/scheduler': value });
    expect(scheduler).toBeUndefined();
    expect(warnings).toEqual([
      expect.stringMatching(/^bad-annotation vipwire.io\/scheduler: .* is no scheduler: use rr,/),
    ]);
  });
});

describe('weights', () => {
  test('an address counts before the longest prefix, that before a node, that before a zone', () => {
    const value = '{"zone=z1": 1, "web-": 2, "node=n1": 3, "web-canary-": 4, "10.0.0.1": 5}';
    const [rules] = decoded(decodeWeights, { 'vipwire.io/weights': value });
    expect(rules).toEqual([
      { kind: 'address', value: '10.0.0.1', weight: 5 },
      { kind: 'pod', value: 'web-canary-', weight: 4 },
      { kind: 'pod', value: 'web-', weight: 2 },
      { kind: 'node', value: 'n1', weight: 3 },
      { kind: 'zone', value: 'z1', weight: 1 },
    ]);
  });

  test.each([
    ['{"web-": 9', 'no JSON'],
    ['[1]', 'a list is no object'],
    ['{"web-": -1}', 'no weight'],
    ['{"web-": 65536}', 'no weight'],
    ['{"web-": 1.5}', 'no weight'],
    ['{"web-": "9"}', 'no weight'],
    [9, 'no JSON'],
  ])('%j is warned of', (value, why) => {
    const [rules, warnings] = decoded(decodeWeights, { 'vipwire.io/weights': value });
    expect(rules).toBeUndefined();
    expect(warnings).toEqual([expect.stringContaining(why)]);
  });
});
