/** Histories of whole clusters. Every write of every batch goes to a kernel in memory that refuses what the real one would refuse. */
import fc from 'fast-check';
import { IpvsBackend } from '../../../src/backends/ipvs/backend';
import { parseMark, sharedSetLimit } from '../../../src/backends/ipvs/sets/names';
import { families, type Family } from '../../../src/model/address';
import { ClusterStore } from '../../../src/model/cluster-store';
import { applyPlanChanges, planChanges } from '../../../src/planner/plan-changes';
import type { Frontend, ServicePlan } from '../../../src/planner/plan';
import { planCluster } from '../../../src/planner/plan-cluster';
import { FakeIpvs } from '../../support/fake-ipvs';
import { largeHistoryArb } from '../../support/large-histories';
import { clusterIP, plan, service, servicePort } from '../../support/plans';
import { ipvsSettings, makeSettings } from '../../support/settings';

const nodeSettings = { ...makeSettings(), hostAddresses: ['192.168.88.10', 'fd88::10', '198.51.100.2'] };

function makeBackend(kernel: FakeIpvs, family: Family, hasSetMarks: boolean): IpvsBackend {
  const settings = { ...ipvsSettings, hasSetMarks };
  return new IpvsBackend(family, { settings, excludeCIDRs: [], drainLimitMs: 0, now: () => 0 }, kernel);
}

/** Everything that the kernel has, one line for each thing. The mark of a port depends on who came first: it is named by the first VIP. */
function contents(kernel: FakeIpvs): string[] {
  const sets = [...kernel.ipset.sets.keys()].flatMap((set) => kernel.ipset.save(set)).sort();
  const names = new Map<string, string>();
  for (const line of sets) {
    const mark = parseMark(/skbmark .*/.exec(line)?.[0] ?? '')?.toString();
    if (mark !== undefined && !names.has(mark)) names.set(mark, line.split(' ')[2] ?? '');
  }
  const servers = [...kernel.servers].map(([key, { options, weights }]) => {
    const name = key.replace(/^FWM (\d+)/, (_, mark: string) => `FWM ${names.get(mark) ?? 'of nobody'}`);
    return [name, options, ...[...weights].map((weight) => weight.join(' ')).sort()].join(', ');
  });
  const named = sets.map((line) =>
    line
      .replace(/skbmark .*/, (text) => names.get(parseMark(text)?.toString() ?? '') ?? text)
      .replace(/(-MARKS) (\d+)$/, (_, set: string, mark: string) => `${set} ${names.get(mark) ?? 'of nobody'}`),
  );
  return [...servers, ...kernel.addresses, ...named, ...kernel.tables.print().split('\n')].sort();
}

async function fresh(store: ClusterStore, family: Family, hasSetMarks: boolean): Promise<string[]> {
  const kernel = new FakeIpvs(family);
  const backend = makeBackend(kernel, family, hasSetMarks);
  await backend.read();
  backend.render(planCluster(store, family, nodeSettings));
  await backend.apply(backend.diff() ?? []);
  return contents(kernel);
}

test.each(families)(
  '%s: the kernel takes every write of every batch, and then has what a start from nothing writes',
  async (family) => {
    await fc.assert(
      fc.asyncProperty(largeHistoryArb, fc.boolean(), async (history, hasSetMarks) => {
        const store = new ClusterStore(0);
        const kernel = new FakeIpvs(family);
        const backend = makeBackend(kernel, family, hasSetMarks);
        await backend.read();
        const wanted = planCluster(store, family, nodeSettings);
        backend.render(wanted);
        for (const changes of history) {
          store.apply(changes);
          const planned = planChanges(wanted, store, store.takeChanged().services);
          applyPlanChanges(wanted, planned);
          backend.renderChanges(wanted, planned);
          await backend.apply(backend.diff() ?? []);
          await backend.tend();
          expect(backend.diff()).toBeUndefined();
          expect(contents(kernel)).toEqual(await fresh(store, family, hasSetMarks));
        }
      }),
      { numRuns: 12 },
    );
  },
  120_000,
);

test('while a set outgrows its parameters and fits them again, every rule has its set', async () => {
  const wide = Array.from({ length: sharedSetLimit + 1 }, (_, i) => ({
    ...clusterIP(`198.18.${(i >> 8) & 255}.${i & 255}`, 80 + (i >> 16)),
    kind: 'ExternalIP' as const,
  }));
  const one = (frontends: readonly Frontend[]): ServicePlan => service([servicePort('wide', { frontends })]);
  const kernel = new FakeIpvs();
  // One call, because the kernel in memory would check after each line.
  kernel.restoreSets = async (input) => {
    await kernel.ipset.run('ipset', ['-exist', 'restore'], { input });
  };
  const backend = makeBackend(kernel, 'IPv4', true);
  await backend.read();
  backend.render(plan('IPv4', [], { hostAddresses: [] }));
  for (const [frontends, isBig] of [
    [wide, true],
    [wide.slice(1), false],
  ] as const) {
    const after = one(frontends);
    backend.renderChanges(plan('IPv4', [after], { hostAddresses: [] }), new Map([[after.key, after]]));
    await backend.apply(backend.diff() ?? []);
    expect(kernel.ipset.sets.has('KUBE-EXTERNAL-IP-BIG')).toBe(isBig);
    expect(kernel.ipset.inUse.has('KUBE-EXTERNAL-IP-BIG')).toBe(isBig);
  }
}, 120_000);
