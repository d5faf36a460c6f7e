import type { Finding, KnownDifference } from '../../src/compare/difference';
import { Findings } from '../../src/compare/findings';
import type { Source } from '../../src/compare/sources';

const where = { service: 'default/web:http', frontend: 'ClusterIP 10.96.0.10:80/tcp' };
const [pod, outside]: readonly [Source, Source] = [
  { kind: 'pods', address: '10.244.1.4', device: 'vethc' },
  { kind: 'outside', address: '192.0.2.1', device: 'eth0' },
];
const rules = [{ table: 'nat', chain: 'KUBE-SERVICES', text: '-j ACCEPT' }];
const lost: Finding = { aspect: 'endpoint', change: 'missing', expected: '10.244.1.2:8080', observed: '' };
const known: KnownDifference = { why: 'on purpose', issues: [1] };

test('equal findings of several sources are one difference, with the rules of the first', () => {
  const findings = new Findings(where, [pod, outside], rules);
  findings.add(lost, pod);
  findings.add(lost, outside, undefined, []);
  expect(findings.differences()).toEqual([
    { ...where, ...lost, sources: [pod, outside], tried: [pod, outside], rules },
  ]);
});

test.each<[string, Finding, KnownDifference | undefined]>([
  ['aspect', { ...lost, aspect: 'share' }, undefined],
  ['change', { ...lost, change: 'extra' }, undefined],
  ['expectation', { ...lost, expected: '10.244.1.3:8080' }, undefined],
  ['observation', { ...lost, observed: 'nothing' }, undefined],
  ['reason why it is known', lost, known],
])('findings with another %s stay apart', (_, other, why) => {
  const findings = new Findings(where, [pod], rules);
  findings.add(lost, pod);
  findings.add(other, pod, why);
  expect(findings.differences()).toMatchObject([lost, { ...other, ...(why && { known: why }) }]);
  expect(findings.differences()[0]).not.toHaveProperty('known');
});

test('a finding about the frontend as a whole has no source', () => {
  const findings = new Findings(where, [pod], rules);
  findings.add(lost);
  expect(findings.differences()).toMatchObject([{ sources: [], tried: [pod] }]);
});
