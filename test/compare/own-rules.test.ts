/** Random clusters: what vipwire writes for a Plan is what the Plan says, by the same comparison as of kube-proxy's rules. */
import fc from 'fast-check';
import { comparePlan } from '../../src/compare/compare-plan';
import type { Comparison } from '../../src/compare/difference';
import { type KernelTexts, parseKernel } from '../../src/compare/parse-kernel';
import { families, type Family } from '../../src/model/address';
import type { ClusterChange } from '../../src/model/cluster';
import { ClusterStore } from '../../src/model/cluster-store';
import type { LocalDetector } from '../../src/model/local-detector';
import type { NodeSettings, Plan } from '../../src/planner/plan';
import { planCluster } from '../../src/planner/plan-cluster';
import { makeEndpoint, makeService, makeSlice } from '../support/cluster-objects';
import { writeIptables, writeIpvs, writeNftables } from './written';
import { ownServicesArb } from '../support/trace-iptables-arbitraries';
import { makeSettings } from '../support/settings';

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

const cases = families.flatMap((family) => [
  [family, 'iptables', writeIptables] as const,
  [family, 'ipvs', writeIpvs] as const,
  [family, 'nftables', writeNftables] as const,
]);

function planOf(objects: readonly ClusterChange[], family: Family, settings: NodeSettings): Plan {
  const store = new ClusterStore(0);
  store.apply(objects);
  return planCluster(store, family, settings);
}

function compare(plan: Plan, texts: KernelTexts, hostAddresses: readonly string[] = []): Comparison {
  const parsed = parseKernel(texts, plan, hostAddresses);
  if (parsed === undefined) throw new Error('nothing was parsed');
  return comparePlan(plan, parsed.kernel, parsed);
}

test.each(cases)('%s, %s: no difference, and nothing that only is known', (family, _, write) => {
  let compared = 0;
  fc.assert(
    fc.property(ownServicesArb, settingsArb, (objects, settings) => {
      const plan = planOf(objects, family, settings);
      const { differences, undecided, frontends } = compare(plan, write(plan));
      compared += frontends;
      expect(undecided).toEqual([]);
      expect(differences).toEqual([]);
    }),
    { numRuns: 30 },
  );
  expect(compared).toBeGreaterThan(100);
});

test.each(cases)('%s, %s: nor where the node itself has some of the endpoints', (family, _, write) => {
  let delivered = 0;
  fc.assert(
    fc.property(ownServicesArb, settingsArb, fc.func(fc.boolean()), (objects, settings, isOwn) => {
      const plan = planOf(objects, family, settings);
      const ports = [...plan.services.values()].flatMap((service) => service.ports);
      const own = [
        ...new Set(ports.flatMap(({ clusterEndpoints }) => clusterEndpoints.map((one) => one.address))),
      ].filter((address) => isOwn(address));
      delivered += own.length;
      const { differences, undecided } = compare(plan, write(plan), own);
      expect(undecided).toEqual([]);
      expect(differences).toEqual([]);
    }),
    { numRuns: 30 },
  );
  expect(delivered).toBeGreaterThan(5);
});

test("an external IP that is a Node's, served and not bound, is a difference that is known", () => {
  const objects = [makeService({ externalIPs: ['192.168.88.11'] }), makeSlice([makeEndpoint('10.0.1.2')])].map(
    (object) => ({ op: 'set', object }) as const,
  );
  const plan = planOf(objects, 'IPv4', makeSettings({ hostAddresses: ['192.168.88.10'] }));
  const texts = writeIpvs(plan);
  expect(compare(plan, texts).differences).toEqual([]);
  const unbound = (texts.addresses ?? '').replace(/^.*192\.168\.88\.11.*\n?/m, '');
  const { differences } = compare(plan, { ...texts, addresses: unbound });
  expect(differences.length).toBeGreaterThan(0);
  expect(differences.map(({ known }) => known?.issues)).toEqual(differences.map(() => [127410]));
});
