/** Random Plans: our text goes through nft into the kernel, and what nft then lists in JSON is compared with the Plan. */
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { comparePlan } from '../../src/compare/compare-plan';
import { parseKernel } from '../../src/compare/parse-kernel';
import { NftablesBackend } from '../../src/backends/nftables/backend';
import { families } from '../../src/model/address';
import { ClusterStore } from '../../src/model/cluster-store';
import { planCluster } from '../../src/planner/plan-cluster';
import { InMemoryTable } from '../backends/nftables/in-memory';
import { makeSettings, podDetector } from '../support/settings';
import { ownServicesArb } from '../support/trace-iptables-arbitraries';

const seed = Number(process.argv[2] ?? '1');
const settings = makeSettings({ localDetector: podDetector, hostAddresses: ['192.168.88.10', 'fd88::10'] });
const told = { frontends: 0, different: new Array<unknown>() };
for (const objects of fc.sample(ownServicesArb, { seed, numRuns: 5 })) {
  const store = new ClusterStore(0);
  store.apply(objects);
  for (const family of families) {
    const plan = planCluster(store, family, settings);
    const backend = new NftablesBackend(family, { masqueradeMark: 0x4000 }, new InMemoryTable(family));
    backend.render(plan);
    execFileSync('nft', ['-f', '-'], { input: backend.print(backend.diff() ?? []) });
    const parsed = parseKernel({ nft: execFileSync('nft', ['-j', 'list', 'ruleset'], { encoding: 'utf8' }) }, plan);
    execFileSync('nft', ['flush', 'ruleset']);
    if (parsed === undefined) throw new Error('there is a table');
    const { frontends, differences, undecided } = comparePlan(plan, parsed.kernel, parsed);
    told.frontends += frontends;
    for (const { service, frontend, aspect, expected, observed } of differences)
      told.different.push({ service, frontend, aspect, expected, observed });
    told.different.push(...undecided);
  }
}
process.stdout.write(JSON.stringify(told));
