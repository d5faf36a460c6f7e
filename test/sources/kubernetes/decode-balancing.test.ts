import type { ClusterWarning } from '../../../src/model/cluster';
import { decodeScheduler, decodeWeights } from '../../../src/sources/kubernetes/decode-balancing';
import type { Fields, WarnOf } from '../../../src/sources/kubernetes/decode-fields';
import { decodeService } from '../../../src/sources/kubernetes/decode-service';

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
      expect.stringMatching(/^bad-annotation vipwire.io\/scheduler: .* is not a scheduler: use rr,/),
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
    ['{"web-": 9', 'not JSON'],
    ['[1]', 'a list is not an object'],
    ['{"web-": -1}', 'not a weight'],
    ['{"web-": 65536}', 'not a weight'],
    ['{"web-": 1.5}', 'not a weight'],
    ['{"web-": "9"}', 'not a weight'],
    [9, 'not JSON'],
  ])('%j is warned of', (value, why) => {
    const [rules, warnings] = decoded(decodeWeights, { 'vipwire.io/weights': value });
    expect(rules).toBeUndefined();
    expect(warnings).toEqual([expect.stringContaining(why)]);
  });
});

describe('an annotation that is too large is ignored as a whole, with one warning', () => {
  const weights = (count: number, bytes: number): string => {
    const text = JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, i) => [`pod-${i}-`, i])));
    return `${text.slice(0, -1)}${' '.repeat(bytes - text.length)}}`;
  };

  test.each([
    [256, 8192, undefined],
    [257, 8192, 'has 257 keys, more than 256'],
    [1, 8193, 'has more than 8 KiB'],
    [26_000, 600_000, 'has more than 8 KiB'],
  ])('%d weights in %d bytes', (count, bytes, why) => {
    const [rules, warnings] = decoded(decodeWeights, { 'vipwire.io/weights': weights(count, bytes) });
    expect(rules?.length).toBe(why === undefined ? count : undefined);
    expect(warnings).toEqual(
      why === undefined
        ? []
        : [`bad-annotation vipwire.io/weights: ${why}: ignored, all endpoints have the same weight`],
    );
  });

  test('bytes count, not letters', () => {
    const value = JSON.stringify({ ['ü'.repeat(5000)]: 1 });
    expect(decoded(decodeWeights, { 'vipwire.io/weights': value })[1]).toHaveLength(1);
  });

  test.each(['vipwire.io/scheduler', 'kube-router.io/service.scheduler'])('%s', (annotation) => {
    const [scheduler, warnings] = decoded(decodeScheduler, { [annotation]: `rr${' '.repeat(8192)}` });
    expect(scheduler).toBeUndefined();
    expect(warnings).toEqual([`bad-annotation ${annotation}: has more than 8 KiB: ignored`]);
  });

  test('the warning names the Service', () => {
    const seen: ClusterWarning[] = [];
    const metadata = {
      namespace: 'shop',
      name: 'cart',
      annotations: { 'vipwire.io/weights': weights(26_000, 600_000) },
    };
    const spec = {
      clusterIP: '10.96.0.1',
      ports: Array.from({ length: 50 }, (_, i) => ({ name: `p${i}`, port: i + 1 })),
    };
    expect(decodeService({ metadata, spec }, (warning) => seen.push(warning))?.weights).toBeUndefined();
    expect(seen.map(({ object }) => object)).toEqual(['Service shop/cart']);
  });
});
