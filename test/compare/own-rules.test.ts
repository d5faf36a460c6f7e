/** Random clusters: what vipwire writes for a Plan is what the Plan says, by the same comparison as of kube-proxy's rules. */
import fc from 'fast-check';
import { IptablesBackend } from '../../src/backends/iptables/backend';
import { printListing } from '../../src/backends/iptables/print-listing';
import { DesiredState } from '../../src/backends/ipvs/desired-state';
import { printSetAdditions } from '../../src/backends/ipvs/ipset-text';
import { printServer } from '../../src/backends/ipvs/ipvsadm-text';
import type { IpvsSettings } from '../../src/backends/ipvs/settings';
import { usualSettings } from '../../src/cli/iptables-settings';
import { comparePlan } from '../../src/compare/compare-plan';
import type { Comparison } from '../../src/compare/difference';
import { type KernelTexts, parseKernel } from '../../src/compare/parse-kernel';
import { families, type Family } from '../../src/model/address';
import type { ClusterChange } from '../../src/model/cluster';
import { ClusterStore } from '../../src/model/cluster-store';
import type { Scheduler } from '../../src/model/scheduler';
import type { LocalDetector, NodeSettings, Plan } from '../../src/planner/plan';
import { planCluster } from '../../src/planner/plan-cluster';
import { tableNames } from '../../src/xtables/rules';
import { labConfiguration } from '../conformance/planned-cluster';
import { makeSettings } from '../support/cluster-objects';
import { FakeIptables } from '../support/fake-iptables';
import { ownServicesArb } from '../support/trace-iptables-arbitraries';

const both = (detector: LocalDetector): NodeSettings['localDetector'] => ({ IPv4: detector, IPv6: detector });
const settingsArb = fc
  .record({
    localDetector: fc.constantFrom<NodeSettings['localDetector'][]>(
      both({ kind: 'none' }),
      { IPv4: { kind: 'cidr', cidr: '10.0.0.0/16' }, IPv6: { kind: 'cidr', cidr: 'fd00::/16' } },
      both({ kind: 'interface', name: 'cni0' }),
      both({ kind: 'interface-prefix', prefix: 'veth' }),
    ),
    masqueradeAll: fc.boolean(),
  })
  .map((fields) => makeSettings({ ...fields, hostAddresses: ['192.168.88.10', 'fd88::10'] }));

function planOf(objects: readonly ClusterChange[], family: Family, settings: NodeSettings): Plan {
  const store = new ClusterStore(0);
  store.apply(objects);
  return planCluster(store, family, settings);
}

function compare(plan: Plan, texts: KernelTexts): Comparison {
  const parsed = parseKernel(texts, plan);
  if (parsed === undefined) throw new Error('nothing was parsed');
  return comparePlan(plan, parsed.kernel, parsed);
}

function writeIptables(plan: Plan): KernelTexts {
  const backend = new IptablesBackend(plan.family, usualSettings(labConfiguration({})), new FakeIptables());
  backend.render(plan);
  return { iptablesSave: printListing(backend.rules, plan) };
}

function writeIpvs(plan: Plan): KernelTexts {
  const settings: IpvsSettings = {
    masqueradeMark: 0x4000,
    scheduler: 'rr' as Scheduler,
    hasScheduler: () => true,
    hasSetMarks: true,
  };
  const state = new DesiredState(plan.family, settings);
  state.render(plan);
  const writes = state.sets.pendingWrites();
  const tables = tableNames.map((table) => {
    const chains = [...state.tables[table].desiredEntries()];
    const jumps = state.jumps.filter((jump) => jump.table === table).map(({ from, rule }) => `-A ${from} ${rule}`);
    return [`*${table}`, ...chains.map(([name]) => `:${name} - [0:0]`), ...jumps, ...chains.map(([, lines]) => lines)];
  });
  return {
    ipvsadm: [...state.servers.desiredEntries()]
      .map(([server, text]) => printServer(server, text, plan.family))
      .join(''),
    ipset: writes === undefined ? '' : printSetAdditions(writes),
    addresses: [...state.addresses.desiredEntries()]
      .map(([address]) => `6: kube-ipvs0    inet ${address}/32 scope global kube-ipvs0`)
      .join('\n'),
    iptablesSave: tables.flat().join('\n'),
  };
}

test.each(
  families.flatMap((family) => [[family, 'iptables', writeIptables] as const, [family, 'ipvs', writeIpvs] as const]),
)('%s, %s: no difference, and nothing that only is known', (family, _, write) => {
  let compared = 0;
  fc.assert(
    fc.property(ownServicesArb, settingsArb, (objects, settings) => {
      const plan = planOf(objects, family, settings);
      const { differences, undecided, frontends } = compare(plan, write(plan));
      compared += frontends;
      expect(undecided).toEqual([]);
      expect(differences).toEqual([]);
    }),
    { numRuns: 60 },
  );
  expect(compared).toBeGreaterThan(100);
});
