import type { Finding } from '../../src/compare/difference';
import { findKnown } from '../../src/compare/known-differences';
import type { Source } from '../../src/compare/sources';
import type { Frontend } from '../../src/planner/plan';
import { rulesKinds } from '../../src/trace/rules-kind';
import { clusterIP } from '../support/plans';

const internal = clusterIP('10.96.0.10');
const balancer: Frontend = { ...internal, kind: 'LoadBalancer', address: '203.0.113.5', localSourcesToCluster: true };
const dropping: Frontend = { ...balancer, verdict: { kind: 'drop', why: 'no local endpoints' } };
const finding = (aspect: Finding['aspect'], change: Finding['change'] = 'changed'): Finding => ({
  aspect,
  change,
  expected: '',
  observed: '',
});
const isElsewhere = (address: string): boolean => address === '203.0.113.5';

/** The number of the first issue, or undefined if the difference is not known. */
function issueOf(
  kernel: Parameters<typeof findKnown>[0],
  frontend: Frontend,
  kind: Source['kind'],
  one: Finding,
): number | undefined {
  return findKnown(kernel, frontend, { kind, address: '', device: '' }, one)?.issues[0];
}

test.each<[Source['kind'], Finding, Frontend, number | undefined]>([
  ['pods', finding('policy'), balancer, 71596],
  ['node', finding('policy'), balancer, 71596],
  ['node', finding('masquerade', 'missing'), balancer, 71596],
  ['node', finding('masquerade', 'extra'), balancer, undefined],
  ['pods', finding('masquerade', 'missing'), balancer, undefined],
  ['outside', finding('policy'), balancer, undefined],
  ['outside', finding('policy'), dropping, 93456],
  ['outside', finding('share'), dropping, undefined],
  ['pods', finding('policy'), internal, undefined],
])('IPVS mode, from %s: %j of %j', (kind, one, frontend, issue) => {
  expect(issueOf({ kind: rulesKinds.ipvs }, frontend, kind, one)).toBe(issue);
  expect(issueOf({ kind: rulesKinds.iptables }, frontend, kind, one)).toBeUndefined();
});

test.each<[Source['kind'], Frontend, number | undefined]>([
  ['outside', balancer, 127410],
  ['pods', balancer, 127410],
  ['node', balancer, undefined],
  ['outside', { ...balancer, address: '203.0.113.6' }, undefined],
  ['outside', { ...internal, address: '203.0.113.5' }, undefined],
])('an address of another Node, from %s', (kind, frontend, issue) => {
  expect(issueOf({ kind: rulesKinds.iptables, isElsewhere }, frontend, kind, finding('verdict'))).toBe(issue);
});
