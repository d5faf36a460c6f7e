import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { decodeChain, decodeTable, NfRule } from '../../src/host/nf-rule';
import { decodeJump } from '../../src/xtables/driver-native-text';

/** What Linux 6.18 told of a table that iptables-nft 1.8.9 and nft had both written to: a word and a payload in each line. */
const recorded = readFileSync(join('test', 'recorded', 'netlink', 'nf-filter.txt'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => line.split(' ') as [string, string]);

function payloads(kind: string): Buffer[] {
  return recorded.filter(([word]) => word === kind).map(([, hex]) => Buffer.from(hex, 'hex'));
}
const rules = payloads('rule').map((payload) => new NfRule(payload));
const inputRules = rules.filter(({ chain }) => chain === 'INPUT');

test('a table and its chains: a base chain hangs from a hook, and jumps of verdict maps count as uses', () => {
  expect(payloads('table').map(decodeTable)).toEqual([{ name: 'filter', handle: 1 }]);
  expect(payloads('chain').map(decodeChain)).toEqual([
    { table: 'filter', name: 'KUBE-A', handle: 1, isBase: false, uses: 8 },
    { table: 'filter', name: 'INPUT', handle: 2, isBase: true, uses: 5 },
  ]);
});

test('rules have their handles, and the chain that they lead to', () => {
  expect(rules.map(({ table, chain, handle, target }) => [table, chain, handle, target])).toEqual([
    ['filter', 'KUBE-A', 6, ''],
    ['filter', 'KUBE-A', 10, ''],
    ['filter', 'INPUT', 3, 'KUBE-A'],
    ['filter', 'INPUT', 4, 'KUBE-A'],
    ['filter', 'INPUT', 5, 'KUBE-A'],
    ['filter', 'INPUT', 8, ''],
    ['filter', 'INPUT', 9, 'KUBE-A'],
  ]);
});

test('expressions: extensions of iptables with their structs, verdicts, and nf_tables’ own by name', () => {
  const [reject, drop] = rules;
  expect(reject?.expressions().map(({ kind }) => kind)).toEqual([
    'other',
    'other',
    'other',
    'other',
    'other',
    'target',
  ]);
  expect(reject?.expressions().at(-1)).toMatchObject({ kind: 'target', name: 'REJECT', revision: 0 });
  expect(drop?.expressions()).toEqual([{ kind: 'verdict', verdict: 'drop', chain: '' }]);
  expect(inputRules[1]?.expressions().at(-1)).toEqual({ kind: 'verdict', verdict: 'goto', chain: 'KUBE-A' });
  expect(inputRules[3]?.expressions()).toEqual([
    { kind: 'other', name: 'meta' },
    { kind: 'other', name: 'lookup' },
  ]);
  expect(inputRules[3]?.comment).toBe('hello');
  expect(reject?.comment).toBe('');
});

test('a jump that matches comments and states alone reads as iptables-save prints it; any other has no text', () => {
  expect(inputRules.map(decodeJump)).toEqual([
    '-m conntrack --ctstate NEW -m comment --comment "a b" -j KUBE-A',
    '-m comment --comment "a b" -m conntrack ! --ctstatus CONFIRMED -g KUBE-A',
    undefined,
    undefined,
    undefined,
  ]);
});

test('a payload that is cut anywhere is decoded as far as it goes, or refused', () => {
  fc.assert(
    fc.property(fc.constantFrom(...payloads('rule'), ...payloads('chain')), fc.nat({ max: 700 }), (payload, length) => {
      const cut = payload.subarray(0, length);
      try {
        const rule = new NfRule(cut);
        decodeJump(rule);
        decodeChain(cut);
        expect(typeof rule.comment).toBe('string');
      } catch (error) {
        // Of Node's own realm, which is not this one's.
        expect(error).toHaveProperty('name', 'RangeError');
      }
    }),
  );
});
