import type { ExpectedWay, ObservedWay } from '../../src/compare/ways';
import { disagree } from '../../src/explain/disagreement';

const share = { share: 1, isMasqueraded: false, isAtNode: false, isDelivered: false };

function expected(kind: ExpectedWay['kind'], ...ends: readonly string[]): ExpectedWay {
  return { kind, endpoints: new Map(ends.map((end) => [end, share])) };
}

function observed(kind: ObservedWay['kind'], ...ends: readonly string[]): ObservedWay {
  const endpoints = new Map(ends.map((end) => [end, share]));
  return { kind, endpoints, lost: 0, affinitySeconds: new Set(), rules: [] };
}

test.each<[what: string, way: ExpectedWay, rules: ObservedWay, isRelayed: boolean, words: string]>([
  ['the same endpoints', expected('forwarded', 'a', 'b'), observed('forwarded', 'b', 'a'), false, ''],
  ['the same refusal', expected('refused'), observed('refused'), false, ''],
  [
    'other endpoints',
    expected('forwarded', 'a', 'b', 'c'),
    observed('forwarded', 'c', 'd'),
    false,
    'the rules do not lead to a, b; the rules also lead to d',
  ],
  [
    'another outcome',
    expected('forwarded', 'a'),
    observed('dropped'),
    false,
    'by the rules the connection is dropped, not forwarded',
  ],
  [
    'a rule that is not understood',
    expected('refused'),
    observed('unknown'),
    false,
    'one of the rules is not understood, so what the rules do is unknown',
  ],
  ['rules leave to the listener what is relayed', expected('forwarded', 'a'), observed('untouched'), true, ''],
  [
    'rules take it from the listener',
    expected('forwarded', 'a'),
    observed('forwarded', 'a'),
    true,
    'by the rules the connection is forwarded, not untouched',
  ],
])('%s', (_, way, rules, isRelayed, words) => {
  expect(disagree(way, rules, isRelayed)).toBe(words);
});
