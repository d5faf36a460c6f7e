/**
 * What IPVS mode writes, as its dry run prints it: for a node of an empty cluster all that there always is, and from there on the
 * batch of each step of each scenario of the conformance table. scripts/refresh-golden rewrites the files.
 */
import { dryIpvsBackend } from '../../src/machine/ipvs-machine';
import { families, type Family } from '../../src/model/address';
import { ownScenarios } from '../conformance/own-scenarios';
import { labConfiguration, PlannedCluster } from '../conformance/planned-cluster';
import { recordedScenarios } from '../conformance/recorded-scenarios';
import type { Scenario } from '../conformance/scenario';
import { FakeIptables } from '../support/fake-iptables';
import type { GoldenFile } from './golden-files';

const hostAddresses = ['192.168.88.10', 'fd88::10'];

export function goldenIpvs(): readonly GoldenFile[] {
  const scenarios = [...recordedScenarios('ipvs'), ...ownScenarios('ipvs')].filter(
    ({ name }) => name !== 'thousand-services',
  );
  const empty: Scenario = { name: 'empty', about: '', config: {}, steps: [] };
  return families.flatMap((family) => [empty, ...scenarios].flatMap((scenario) => printScenario(scenario, family)));
}

function printScenario({ name, config, steps }: Scenario, family: Family): GoldenFile[] {
  const configured = { ...config, mode: 'ipvs' };
  const cluster = new PlannedCluster(configured, hostAddresses);
  const plan = cluster.plans[family];
  const backend = dryIpvsBackend(family, labConfiguration(configured), new FakeIptables());
  const files: GoldenFile[] = [];
  const write = (step: number, isBase = false): void => {
    const batch = backend.diff() ?? [];
    const path = `ipvs/${name}/${step}.${family === 'IPv4' ? 'v4' : 'v6'}.ipvs`;
    if (batch.length > 0 && (!isBase || name === 'empty')) files.push({ path, text: backend.print(batch) });
    backend.assumeApplied(batch);
  };
  backend.render(plan);
  write(0, true);
  for (const [n, { objects }] of steps.entries()) {
    if (objects === undefined) continue;
    backend.renderChanges(plan, cluster.apply(objects)[family]);
    write(n + 1);
  }
  return files;
}
