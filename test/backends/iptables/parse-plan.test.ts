/** The Plan that is read from rules gives the same rules, for every state of random clusters, unless somebody else changed them. */
import fc from 'fast-check';
import { parsePlan } from '../../../src/backends/iptables/parse-plan';
import { RuleSet } from '../../../src/backends/iptables/desired-state';
import { usualSettings } from '../../../src/machine/iptables-settings';
import { families, type Family } from '../../../src/model/address';
import { ClusterStore } from '../../../src/model/cluster-store';
import type { NodeSettings, Plan } from '../../../src/planner/plan';
import { planCluster } from '../../../src/planner/plan-cluster';
import { type TableName, tableNames } from '../../../src/xtables/rules';
import { labConfiguration } from '../../conformance/planned-cluster';
import { everyKind, endpoint, plan as makePlan, service, servicePort, clusterIP } from '../../support/plans';
import { ownServicesArb } from '../../support/trace-iptables-arbitraries';
import { makeSettings } from '../../support/settings';

type Tables = Record<TableName, Map<string, string>>;

function render(plan: Plan): Tables {
  const rules = new RuleSet(plan.family, usualSettings(labConfiguration({})));
  rules.render(plan);
  const entries = tableNames.map((table) => [table, new Map(rules.tables[table].desiredEntries())]);
  return Object.fromEntries(entries) as Tables;
}

const settingsArb: fc.Arbitrary<NodeSettings> = fc
  .record({ masqueradeAll: fc.boolean(), localhostNodePorts: fc.boolean() })
  .map(makeSettings);

function again(tables: Tables, family: Family, settings: NodeSettings): Tables {
  return render(parsePlan(tables, family, settings));
}

describe.each(families)('%s', (family) => {
  test('random clusters', () => {
    fc.assert(
      fc.property(ownServicesArb, settingsArb, (objects, settings) => {
        const store = new ClusterStore(0);
        store.apply(objects);
        const tables = render(planCluster(store, family, settings));
        expect(again(tables, family, settings)).toEqual(tables);
      }),
      { numRuns: 100 },
    );
  });

  test('every kind of rule, and weights', () => {
    const plan = makePlan(family, everyKind(family));
    expect(again(render(plan), family, plan.settings)).toEqual(render(plan));
  });

  test.each([1, 128, 129, 300])('%i endpoints', (count) => {
    const pods = Array.from({ length: count }, (_, n) =>
      endpoint(family === 'IPv4' ? `10.1.${n >> 8}.${n & 255}` : `fd01::${(n >> 8) + 1}:${(n & 255) + 1}`),
    );
    const vip = family === 'IPv4' ? '10.96.0.10' : 'fd96::10';
    for (const affinitySeconds of [0, 60]) {
      const port = servicePort('web', { frontends: [clusterIP(vip)], clusterEndpoints: pods, affinitySeconds });
      const plan = makePlan(family, [service([port])]);
      expect(again(render(plan), family, plan.settings)).toEqual(render(plan));
    }
  });
});
