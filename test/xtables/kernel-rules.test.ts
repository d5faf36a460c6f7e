/** Histories of whole clusters: every call of every batch, given to tables that refuse what the kernel would refuse. */
import fc from 'fast-check';
import { RuleSet } from '../../src/backends/iptables/desired-state';
import { planSteps } from '../../src/backends/iptables/diff';
import { families, type Family } from '../../src/model/address';
import { ClusterStore } from '../../src/model/cluster-store';
import { applyPlanChanges, planChanges } from '../../src/planner/plan-changes';
import { planCluster } from '../../src/planner/plan-cluster';
import { KernelRules } from '../../src/xtables/kernel-rules';
import { FakeIptables } from '../support/fake-iptables';
import { largeHistoryArb } from '../support/large-histories';
import { iptablesSettings, makeSettings } from '../support/settings';

async function settle(rules: RuleSet, kernel: KernelRules, limit: number): Promise<void> {
  for (const step of planSteps(rules, kernel, limit)) await kernel.write(step);
}

async function fresh(store: ClusterStore, family: Family, hasBpf: boolean): Promise<string[]> {
  const tables = new FakeIptables();
  const rules = new RuleSet(family, { ...iptablesSettings, hasBpf });
  const kernel = new KernelRules(rules, tables);
  rules.render(planCluster(store, family, makeSettings()));
  kernel.compareJumps();
  await settle(rules, kernel, Infinity);
  return tables.print().split('\n').sort();
}

const callsArb = fc.record({ limit: fc.constantFrom(2, 15, 1000), hasBpf: fc.boolean() });

test.each(families)(
  '%s: the kernel takes every call of every batch, and then has what a start from nothing writes',
  async (family) => {
    await fc.assert(
      fc.asyncProperty(largeHistoryArb, callsArb, async (history, { limit, hasBpf }) => {
        const store = new ClusterStore(0);
        const tables = new FakeIptables();
        const rules = new RuleSet(family, { ...iptablesSettings, hasBpf });
        const kernel = new KernelRules(rules, tables);
        const plan = planCluster(store, family, makeSettings());
        rules.render(plan);
        kernel.compareJumps();
        for (const changes of history) {
          store.apply(changes);
          const planned = planChanges(plan, store, store.takeChanged().services);
          applyPlanChanges(plan, planned);
          rules.renderChanges(plan, planned);
          await settle(rules, kernel, limit);
          expect(kernel.isSettled).toBe(true);
          expect(tables.print().split('\n').sort()).toEqual(await fresh(store, family, hasBpf));
        }
      }),
      { numRuns: 12 },
    );
  },
  120_000,
);
