/**
 * What the golden files hold: rule sets as `vipwire render` prints them, and what changes of a cluster write. Each scenario of
 * the conformance table has the rules of its first step and the batch of every later one. scripts/refresh-golden rewrites them.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { IptablesBackend } from '../../src/backends/iptables/backend';
import { printListing } from '../../src/backends/iptables/print';
import { usualSettings } from '../../src/machine/iptables-settings';
import { families, type Family } from '../../src/model/address';
import { ClusterStore } from '../../src/model/cluster-store';
import { planNodeSettings } from '../../src/planner/node-settings';
import type { Plan } from '../../src/planner/plan';
import { planCluster } from '../../src/planner/plan-cluster';
import { parseManifests } from '../../src/sources/manifests/parse-manifests';
import { ownScenarios } from '../conformance/own-scenarios';
import { labConfiguration, PlannedCluster } from '../conformance/planned-cluster';
import { recordedScenarios } from '../conformance/recorded-scenarios';
import type { Scenario } from '../conformance/scenario';
import { FakeIptables } from '../support/fake-iptables';
import { printSetup } from '../support/lab/topology';
import { TracedNode } from '../support/trace-iptables-node';

export interface GoldenFile {
  /** `iptables/nodeport-local/2.v4.change.rules`: step 2. */
  readonly path: string;
  readonly text: string;
}

/** One cluster in one family. */
export interface GoldenSequence {
  readonly name: string;
  readonly family: Family;
  /** The whole rule set first, then a batch for each change. */
  readonly files: readonly GoldenFile[];
  /** The whole rule set after the last of them. */
  readonly last: string;
}

const short = { IPv4: 'v4', IPv6: 'v6' } as const;

/** A thousand Services are no reading. */
const isReadable = ({ name }: Scenario): boolean => name !== 'thousand-services';

export function goldenSequences(): readonly GoldenSequence[] {
  const scenarios = [...recordedScenarios('iptables'), ...ownScenarios('iptables')].filter(isReadable);
  return families.flatMap((family) => [
    printExamples(family),
    ...scenarios.flatMap((scenario) => printScenario(scenario, family) ?? []),
  ]);
}

/** undefined where the family has no Service. */
function printScenario({ name, config, steps }: Scenario, family: Family): GoldenSequence | undefined {
  const cluster = new PlannedCluster(config, new TracedNode(printSetup('node')).ownAddresses);
  const plan = cluster.plans[family];
  const backend = new IptablesBackend(family, cluster.backendSettings, new FakeIptables());
  const files: GoldenFile[] = [];
  for (const [n, { objects }] of steps.entries()) {
    if (objects === undefined) continue;
    const changes = cluster.apply(objects);
    const path = `iptables/${name}/${n + 1}.${short[family]}`;
    if (n === 0 && plan.services.size === 0) return undefined;
    if (n === 0) backend.render(plan);
    else backend.renderChanges(plan, changes[family]);
    const batch = backend.diff() ?? [];
    if (n === 0) files.push({ path: `${path}.rules`, text: printListing(backend.rules, plan) });
    else if (batch.length > 0) files.push({ path: `${path}.change.rules`, text: backend.print(batch) });
    backend.assumeApplied(batch);
  }
  const fresh = new IptablesBackend(family, cluster.backendSettings, new FakeIptables());
  fresh.render(plan);
  return { name, family, files, last: printListing(fresh.rules, plan) };
}

/** The manifests that are there to be tried, for the node that runs most of their pods. */
function printExamples(family: Family): GoldenSequence {
  const text = printPlanned(planExamples(family));
  return {
    name: 'examples',
    family,
    files: [{ path: `iptables/examples/1.${short[family]}.rules`, text }],
    last: text,
  };
}

function planExamples(family: Family): Plan {
  const folder = join('manifests', 'examples');
  const store = new ClusterStore(0);
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.yaml')))
    for (const { sets } of parseManifests(readFileSync(join(folder, file), 'utf8'), file).objects) store.apply(sets);
  const node = store.nodes.get('node');
  const config = { ...labConfiguration({}), hostname: 'node' };
  return planCluster(store, family, planNodeSettings(config, node, node?.addresses ?? []).settings);
}

function printPlanned(plan: Plan): string {
  const backend = new IptablesBackend(plan.family, usualSettings(labConfiguration({})), new FakeIptables());
  backend.render(plan);
  return printListing(backend.rules, plan);
}
