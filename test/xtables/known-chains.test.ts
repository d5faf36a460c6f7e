import {
  blockLocalnetRule,
  isOurChain,
  isServiceChain,
  parseServiceChain,
  targetChain,
  targetChains,
} from '../../src/xtables/known-chains';
import type { TableName } from '../../src/xtables/rules';

test.each([
  ['KUBE-SVC-ERIFXISQEP7F7OF4', { kind: 'SVC', hash: 'ERIFXISQEP7F7OF4' }],
  ['KUBE-SEP-ERIFXISQEP7F7OF4', { kind: 'SEP', hash: 'ERIFXISQEP7F7OF4' }],
  ['KUBE-XLB-ERIFXISQEP7F7OF4', undefined],
  ['KUBE-SVC-ERIFXISQEP7F7OF', undefined],
  ['KUBE-SVC-ERIFXISQEP7F7OF1', undefined],
  ['KUBE-SVC-np-4', undefined],
  ['KUBE-SERVICES', undefined],
])('%s is parsed as %j', (chain, name) => expect(parseServiceChain(chain)).toEqual(name));

test.each<[TableName, string, boolean]>([
  ['nat', 'KUBE-SERVICES', true],
  ['nat', 'KUBE-SVC-np-4', true],
  ['nat', 'KUBE-XLB-ERIFXISQEP7F7OF4', true],
  ['nat', 'KUBE-KUBELET-CANARY', false],
  ['nat', 'KUBE-HOSTPORTS', false],
  ['nat', 'DOCKER', false],
  // The kubelet's in filter, and a former IPVS mode's in nat.
  ['nat', 'KUBE-FIREWALL', true],
  ['filter', 'KUBE-FIREWALL', false],
  ['filter', 'KUBE-POSTROUTING', false],
  ['mangle', 'KUBE-PROXY-CANARY', true],
  ['mangle', 'KUBE-KUBELET-CANARY', false],
  ['mangle', 'KUBE-SVC-ERIFXISQEP7F7OF4', false],
])('in %s, whether %s is ours: %p', (table, chain, isOurs) => expect(isOurChain(table, chain)).toBe(isOurs));

test('IPVS mode has no chain for a Service', () => {
  expect(['KUBE-SVC-np-4', 'KUBE-FW-X', 'KUBE-NODE-PORT', 'KUBE-SERVICES'].map(isServiceChain)).toEqual([
    true,
    true,
    false,
    false,
  ]);
});

test.each([
  ['-A KUBE-SERVICES -d 10.96.0.10/32 -j KUBE-SVC-ERIFXISQEP7F7OF4', 'KUBE-SVC-ERIFXISQEP7F7OF4'],
  ['-j KUBE-MARK-MASQ', 'KUBE-MARK-MASQ'],
  ['-p tcp -g KUBE-NODEPORTS', 'KUBE-NODEPORTS'],
  ['-m comment --comment "-j KUBE-SERVICES" -j ACCEPT', undefined],
  ['-j DOCKER', undefined],
  [blockLocalnetRule, undefined],
])('%s leads to %p', (rule, chain) => {
  expect(targetChain(rule)).toBe(chain);
  expect(targetChains(`-A A -j RETURN\n${rule}\n-A A -j KUBE-LAST`)).toEqual([
    ...(chain === undefined ? [] : [chain]),
    'KUBE-LAST',
  ]);
});
