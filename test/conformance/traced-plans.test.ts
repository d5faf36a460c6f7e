/** In random clusters the rules treat packets as the Plan says, after every change and during it. */
import fc from 'fast-check';
import { IptablesBackend } from '../../src/backends/iptables/backend';
import type { IptablesSettings } from '../../src/backends/iptables/settings';
import { printListing } from '../../src/backends/iptables/print';
import { planSteps } from '../../src/backends/iptables/diff';
import { families, type Family } from '../../src/model/address';
import type { ClusterChange } from '../../src/model/cluster';
import { ClusterStore } from '../../src/model/cluster-store';
import type { LocalDetector } from '../../src/model/local-detector';
import type { MutablePlan, NodeSettings, Plan } from '../../src/planner/plan';
import { applyPlanChanges, planChanges } from '../../src/planner/plan-changes';
import { planCluster } from '../../src/planner/plan-cluster';
import { printStep } from '../../src/xtables/rules';
import { historyArb } from '../support/cluster-arbitraries';
import { FakeIptables } from '../support/fake-iptables';
import { clusterIP, endpoint, plan as makePlan, service, servicePort } from '../support/plans';
import type { Outcome } from '../../src/trace/packet';
import { traceConnection } from '../../src/trace/trace-iptables';
import { ownServicesArb } from '../support/trace-iptables-arbitraries';
import { TracedNode } from '../support/trace-iptables-node';
import { parseTables, type TracedTables } from '../../src/trace/iptables-tables';
import { type Ask, type Client, keyOf, mayBetween, printFlow, printOutcomes, promises } from './expected-flows';
import { iptablesSettings, makeSettings } from '../support/settings';

const node = new TracedNode(`\
addr add 192.168.88.10/24 dev eth0
addr add fd88::10/64 dev eth0
addr add 10.244.1.1/32 dev vethc
addr add fd44:1::1/128 dev vethc
route add 10.0.0.1/32 dev vethc
route add fd00::1/128 dev vethc
route add default via 192.168.88.1
route add default via fd88::1`);
const nodeAddress = { IPv4: '192.168.88.10', IPv6: 'fd88::10' } as const;

const clients: Readonly<Record<Family, readonly Client[]>> = {
  IPv4: [
    { name: 'outside', source: '192.168.88.100', device: 'eth0' },
    { name: 'far outside', source: '172.16.0.9', device: 'eth0' },
    { name: 'pod', source: '10.244.1.4', device: 'vethd' },
    { name: 'endpoint', source: '10.0.0.1', device: 'vethc' },
    { name: 'endpoint elsewhere', source: '9.0.0.1', device: 'eth0' },
    { name: 'node', source: '192.168.88.10', device: '' },
  ],
  IPv6: [
    { name: 'outside', source: 'fd88::100', device: 'eth0' },
    { name: 'far outside', source: '2001:db8:9::9', device: 'eth0' },
    { name: 'pod', source: 'fd44:1::4', device: 'vethd' },
    { name: 'endpoint', source: 'fd00::1', device: 'vethc' },
    { name: 'endpoint elsewhere', source: 'fd00:1::1', device: 'eth0' },
    { name: 'node', source: 'fd88::10', device: '' },
  ],
};

const detectorArb = fc.constantFrom<NodeSettings['localDetector'][]>(
  { IPv4: { kind: 'none' }, IPv6: { kind: 'none' } },
  { IPv4: { kind: 'cidr', cidr: '10.0.0.0/8' }, IPv6: { kind: 'cidr', cidr: 'fd44::/16' } },
  ...[{ kind: 'interface', name: 'vethd' } as const, { kind: 'interface-prefix', prefix: 'veth' } as const].map(
    (detector: LocalDetector) => ({ IPv4: detector, IPv6: detector }),
  ),
);
const settingsArb: fc.Arbitrary<NodeSettings> = fc
  .record({
    localDetector: detectorArb,
    masqueradeAll: fc.boolean(),
    localhostNodePorts: fc.boolean(),
    nodePortAddresses: fc.constantFrom<NodeSettings['nodePortAddresses'][]>(
      { IPv4: { kind: 'all' }, IPv6: { kind: 'all' } },
      { IPv4: { kind: 'some', addresses: ['192.168.88.10'] }, IPv6: { kind: 'some', addresses: ['fd44:1::1'] } },
    ),
  })
  .map(makeSettings);
const factsArb: fc.Arbitrary<IptablesSettings> = fc.record({
  masqueradeMark: fc.constantFrom(0x4000, 0x80000000),
  dropInvalid: fc.boolean(),
  hasBpf: fc.boolean(),
  hasRecent: fc.boolean(),
  hasSctp: fc.boolean(),
  hasNfacct: fc.boolean(),
});

interface Written {
  readonly store: ClusterStore;
  readonly plan: MutablePlan;
  readonly backend: IptablesBackend;
  readonly kernel: FakeIptables;
}

function startWriting(family: Family, settings: NodeSettings, facts: IptablesSettings): Written {
  const [store, kernel] = [new ClusterStore(0), new FakeIptables()];
  const plan = planCluster(store, family, settings);
  const backend = new IptablesBackend(family, facts, kernel);
  backend.render(plan);
  return { store, plan, backend, kernel };
}

function renderBatch({ store, plan, backend }: Written, batch: readonly ClusterChange[]): void {
  store.apply(batch);
  const changes = planChanges(plan, store, store.takeChanged().services);
  applyPlanChanges(plan, changes);
  backend.renderChanges(plan, changes);
}

function trace(tables: TracedTables, ask: Ask, client: Client, recent?: ReadonlySet<string>): Outcome[] {
  const { address: destination, port, protocol } = ask;
  const { source, device } = client;
  return traceConnection(tables, node, { destination, port, protocol, source, device, ...(recent && { recent }) });
}

/** Addresses that a frontend may or may not have, with ports that it has or has not; and the node's own. */
function strayAsks(family: Family): Ask[] {
  const addresses = {
    IPv4: ['10.96.0.10', '10.96.0.11', '198.51.100.1', '203.0.113.50', '10.0.0.1', nodeAddress.IPv4],
    IPv6: ['fd96::10', '2001:db8::1', '2001:db8:1::50', 'fd00::1', nodeAddress.IPv6],
  }[family];
  const protocols = ['tcp', 'udp'] as const;
  return addresses.flatMap((address) =>
    [80, 53, 81, 31000].flatMap((port) => protocols.map((protocol) => ({ address, port, protocol }))),
  );
}

describe.each(families)('%s', (family) => {
  test('every client of every frontend gets what the Plan says, and nobody else is touched', async () => {
    const seen = { refused: 0, dropped: 0, forwarded: 0, balanced: 0, remembered: 0, contested: 0, untouched: 0 };
    const differencesFor = (plan: Plan, tables: TracedTables, client: Client): unknown[] => {
      const differences: unknown[] = [];
      const promised = promises(plan, client, nodeAddress[family]);
      for (const { ask, flows } of promised.values()) {
        const outcomes = trace(tables, ask, client);
        const printed = printOutcomes(outcomes);
        const wanted = flows.map((flow) => printFlow(flow, client, node));
        if (!wanted.includes(printed)) differences.push({ client, ask, wanted, printed });
        const [first] = flows;
        if (first === undefined || flows.length > 1) seen.contested++;
        else {
          seen[first.kind]++;
          if (first.kind === 'forwarded' && first.endpoints.length > 1) seen.balanced++;
        }
        for (const { recent, address, port } of outcomes.filter((outcome) => outcome.recent.size > 0)) {
          seen.remembered++;
          const next = trace(tables, ask, client, recent);
          if (next.length !== 1 || next[0]?.address !== address || next[0].port !== port)
            differences.push({ client, ask, remembered: [address, port], next: printOutcomes(next) });
        }
      }
      for (const ask of strayAsks(family).filter((one) => !promised.has(keyOf(one)))) {
        seen.untouched++;
        const wanted = node.isLocal(ask.address) ? 'local' : 'untouched';
        const [outcome, ...others] = trace(tables, ask, client);
        if (outcome?.kind !== wanted || outcome.source !== client.source || others.length > 0)
          differences.push({ client, ask, wanted, outcome, others });
      }
      return differences;
    };
    // Chance may leave a kind out of 25 clusters.
    for (let tries = 0; tries < 8 && (tries === 0 || Object.values(seen).includes(0)); tries++)
      await fc.assert(
        fc.asyncProperty(historyArb, ownServicesArb, settingsArb, factsArb, async (history, own, settings, facts) => {
          const written = startWriting(family, settings, facts);
          for (const batch of [...history, own]) {
            renderBatch(written, batch);
            await written.backend.apply(written.backend.diff() ?? []);
          }
          const tables = parseTables(written.kernel.print());
          expect(clients[family].flatMap((client) => differencesFor(written.plan, tables, client))).toEqual([]);
        }),
        { numRuns: 25 },
      );
    expect(Object.entries(seen).filter(([, count]) => count === 0)).toEqual([]);
  });

  test('at every moment of a write a client gets what was or what will be', async () => {
    let moments = 0;
    const differencesFor = (tables: TracedTables, before: Plan, after: Plan, client: Client): unknown[] => {
      const was = promises(before, client, nodeAddress[family]);
      const willBe = promises(after, client, nodeAddress[family]);
      // A frontend that comes or goes may meet the other ones' new policy while it is half there.
      return [...was].flatMap(([key, old]) => {
        const next = willBe.get(key);
        if (next === undefined) return [];
        const outcomes = trace(tables, old.ask, client);
        const wrong = outcomes.filter((outcome) => !mayBetween(old, next, outcome, client, node));
        return wrong.length === 0 ? [] : [{ client, old, next, wrong }];
      });
    };
    await fc.assert(
      fc.asyncProperty(
        ownServicesArb,
        ownServicesArb,
        settingsArb,
        factsArb,
        async (first, second, settings, facts) => {
          // Without xt_bpf the hairpin rules of a large write come after the endpoints that they are for.
          const written = startWriting(family, settings, facts);
          const { backend, kernel, plan } = written;
          renderBatch(written, first);
          await backend.apply(backend.diff() ?? []);
          const before: Plan = { ...plan, services: new Map(plan.services) };
          renderBatch(written, second);
          const differences: unknown[] = [];
          kernel.beforeCommit = () => {
            moments++;
            const tables = parseTables(kernel.print());
            differences.push(...clients[family].flatMap((client) => differencesFor(tables, before, plan, client)));
          };
          for (const step of planSteps(backend.rules, { missingJumps: [], staleJumps: [], usedByOthers: new Set() }, 2))
            await kernel.restore(printStep(step));
          expect(differences).toEqual([]);
        },
      ),
      { numRuns: 30 },
    );
    expect(moments).toBeGreaterThan(30);
  });

  test.each([1, 2, 3, 7, 128, 129, 400])('%i endpoints have equal shares, and are remembered', (count) => {
    const pods = Array.from({ length: count }, (_, n) => {
      const [high, low] = [n >> 8, n & 255];
      return endpoint(family === 'IPv4' ? `10.1.${high}.${low}` : `fd01::${high}:${low}`);
    });
    const vip = family === 'IPv4' ? '10.96.0.10' : 'fd96::10';
    const ports = { frontends: [clusterIP(vip)], clusterEndpoints: pods, affinitySeconds: 60 };
    const backend = new IptablesBackend(family, iptablesSettings, new FakeIptables());
    const rendered = makePlan(family, [service([servicePort('web', ports)])]);
    backend.render(rendered);
    const tables = parseTables(printListing(backend.rules, rendered));
    const [client] = clients[family];
    if (client === undefined) throw new Error('nobody asks');
    const ask: Ask = { address: vip, port: 80, protocol: 'tcp' };
    const outcomes = trace(tables, ask, client);
    expect(outcomes.map(({ address }) => address).sort()).toEqual(pods.map(({ address }) => address).sort());
    for (const { probability } of outcomes) expect(Math.abs(probability - 1 / count)).toBeLessThan(1e-6);
    for (const { recent, address } of outcomes) expect(trace(tables, ask, client, recent)).toMatchObject([{ address }]);
  });
});
