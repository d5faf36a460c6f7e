/** What kube-proxy 1.36.2 wrote for these clusters, against what vipwire would do for them. */
import { comparePlan } from '../../src/compare/compare-plan';
import { parseKernel } from '../../src/compare/parse-kernel';
import { families } from '../../src/model/address';
import { planRecording, readRecordings, textsOf } from './recordings';

const modes = ['iptables', 'ipvs', 'nftables'] as const;
const cases = modes.flatMap((mode) =>
  readRecordings(mode).flatMap((recording) =>
    families.map((family) => [mode, recording.name, family, recording] as const),
  ),
);

test.each(cases)('%s, %s, %s: equal, or different as is known and wanted', (mode, name, family, recording) => {
  const plan = planRecording(recording, mode, family);
  const parsed = parseKernel(textsOf(recording, mode, family), plan);
  if (parsed === undefined) throw new Error('nothing was parsed');
  const { differences, undecided } = comparePlan(plan, parsed.kernel, parsed);
  expect(undecided).toEqual([]);
  expect(differences.filter(({ known }) => known === undefined)).toEqual([]);
  const hasKnown = mode === 'ipvs' && family === 'IPv4' && /^(loadbalancer|nodeport)-local/.test(name);
  expect(differences.length > 0).toBe(hasKnown);
});

test.each(cases)('%s, %s, %s: nor where the endpoints are the node itself', (mode, _, family, recording) => {
  const plan = planRecording(recording, mode, family);
  const ports = [...plan.services.values()].flatMap((service) => service.ports);
  const own = ports.flatMap(({ clusterEndpoints }) => clusterEndpoints.map(({ address }) => address));
  const parsed = parseKernel(textsOf(recording, mode, family), plan, own);
  if (parsed === undefined) throw new Error('nothing was parsed');
  const { differences } = comparePlan(plan, parsed.kernel, parsed);
  expect(differences.filter(({ known }) => known === undefined)).toEqual([]);
});
