/** kube-proxy's recorded rules, and every step from them to ours, give the recorded results. */
import { IptablesBackend } from '../../src/backends/iptables/backend';
import { planSteps } from '../../src/backends/iptables/diff';
import { families, type Family, familyOf } from '../../src/model/address';
import { printStep } from '../../src/xtables/rules';
import { FakeIptables } from '../support/fake-iptables';
import { readRecording, recordings } from '../support/kube-proxy-rules';
import { printSetup } from '../support/lab/topology';
import { TracedNode } from '../support/trace-iptables-node';
import { parseTables } from '../../src/trace/iptables-tables';
import { PlannedCluster } from './planned-cluster';
import { ProbeTracer } from './probe-tracer';
import { recordedScenarios } from './recorded-scenarios';

const scenarios = recordedScenarios('iptables');

async function loadRecording(recording: string, family: Family): Promise<FakeIptables> {
  const kernel = new FakeIptables();
  await kernel.restore(readRecording(recording, family === 'IPv4' ? 'v4.rules' : 'v6.rules'));
  return kernel;
}

/** Three chains per call, so that there are as many steps as possible. */
const chainsPerCall = 3;

/** IPv6 was recorded only for scenarios that have IPv6 Services. */
const cases = recordings.flatMap((recording) =>
  families
    .filter((family) => family === 'IPv4' || recording.startsWith('dual-stack'))
    .map((family) => [recording, family] as const),
);

describe.each(cases)('%s, %s', (recording, family) => {
  const [name, number] = recording.split('.');
  const scenario = scenarios.find((one) => one.name === name);
  const step = scenario?.steps[Number(number) - 1];
  if (scenario === undefined || step?.objects === undefined) throw new Error(`no scenario for ${recording}`);
  const { objects } = step;
  const probes = step.probes.filter(({ probe }) => 'to' in probe && familyOf(probe.to) === family);
  const node = new TracedNode(printSetup('node'));

  const differencesIn = (kernel: FakeIptables): string[] => {
    const tables = parseTables(kernel.print());
    const tracer = new ProbeTracer(node);
    return probes.flatMap((probe) => tracer.check(probe, () => tables) ?? []);
  };

  test("kube-proxy's rules", async () => {
    expect(probes.length).toBeGreaterThan(0);
    expect(differencesIn(await loadRecording(recording, family))).toEqual([]);
  });

  test('the way to ours', async () => {
    const kernel = await loadRecording(recording, family);
    const cluster = new PlannedCluster(scenario.config, node.ownAddresses);
    cluster.apply(objects);
    const backend = new IptablesBackend(family, cluster.backendSettings, kernel);
    await backend.read();
    backend.render(cluster.plans[family]);
    const missingJumps = backend.rules.jumps.filter(
      ({ table, from, rule }) => kernel.tables.get(table)?.get(from)?.includes(rule) !== true,
    );
    const steps = planSteps(backend.rules, { missingJumps, staleJumps: [], usedByOthers: new Set() }, chainsPerCall);
    const different = new Set<string>();
    for (const one of steps) {
      kernel.beforeCommit = () => differencesIn(kernel).forEach((line) => different.add(`${one.title}: ${line}`));
      await kernel.restore(printStep(one));
    }
    expect([...different, ...differencesIn(kernel)]).toEqual([]);
    expect(steps.length).toBeGreaterThan(1);
    await backend.read();
    expect(backend.diff()).toBeUndefined();
  });
});
