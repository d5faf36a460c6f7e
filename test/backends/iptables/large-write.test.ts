/** No connection is without rules while a large write is made in several calls. */
import fc from 'fast-check';
import type { PlanEndpoint, ServicePlan, ServicePortPlan } from '../../../src/planner/plan';
import { printStep } from '../../../src/xtables/rules';
import { FakeIptables } from '../../support/fake-iptables';
import { jumps as kubeProxyJumps, type KubeProxyService, printSync } from '../../support/kube-proxy-rules';
import { clusterIP, endpoint, everyKind, plan, service, servicePort } from '../../support/plans';
import { chancesOf, type Packet } from './walk-rules';
import { backendFor, largeSteps } from './large-write';

/** Plain Services, so that kube-proxy's rules for them are available too. */
interface Plain {
  readonly endpoints: readonly number[];
  readonly nodePort: boolean;
}
type PlainCluster = readonly (Plain | undefined)[];

const plainArb: fc.Arbitrary<PlainCluster> = fc.array(
  fc.option(fc.record({ endpoints: fc.subarray([2, 3, 4, 5]), nodePort: fc.boolean() }), { nil: undefined, freq: 4 }),
  { minLength: 24, maxLength: 24 },
);
const addressOf = (n: number): string => `10.244.1.${n}`;

function toPlan(cluster: PlainCluster): ServicePlan[] {
  return cluster.flatMap((plain, i) => {
    if (plain === undefined) return [];
    const verdict =
      plain.endpoints.length > 0
        ? ({ kind: 'forward', endpoints: 'cluster' } as const)
        : ({ kind: 'reject', why: 'no endpoints' } as const);
    const vip = { ...clusterIP(`10.96.0.${i}`), verdict };
    const nodePort = { ...vip, kind: 'NodePort', address: '', port: 30000 + i, masquerade: 'always' } as const;
    return service([
      servicePort(`s${i}`, {
        frontends: plain.nodePort ? [vip, nodePort] : [vip],
        clusterEndpoints: plain.endpoints.map((n) => endpoint(addressOf(n))),
      }),
    ]);
  });
}

function toKubeProxy(cluster: PlainCluster): KubeProxyService[] {
  return cluster.flatMap((plain, i) =>
    plain === undefined
      ? []
      : {
          name: `default/s${i}`,
          clusterIP: `10.96.0.${i}`,
          port: 80,
          ...(plain.nodePort ? { nodePort: 30000 + i } : {}),
          endpoints: plain.endpoints.map((n) => `${addressOf(n)}:8080`),
        },
  );
}

async function kubeProxyNode(cluster: PlainCluster): Promise<FakeIptables> {
  const tables = new FakeIptables();
  for (const table of ['nat', 'filter', 'mangle'])
    await tables.restore(`*${table}\n:KUBE-PROXY-CANARY - [0:0]\nCOMMIT\n`);
  await tables.restore(printSync(toKubeProxy(cluster), ''));
  for (const { table, from, rule, to } of kubeProxyJumps) {
    const match = rule.slice(0, -2).map((word) => (word.includes(' ') ? `"${word}"` : word));
    await tables.restore(`*${table}\n-I ${[from, ...match, '-j', to].join(' ')}\nCOMMIT\n`);
  }
  return tables;
}

const outside = '192.168.99.100';

/** Every way in through which clients outside are forwarded, and the endpoints that may answer. */
function forwarded(services: readonly ServicePlan[]): Map<string, { packet: Packet; endpoints: string[] }> {
  const ways = new Map<string, { packet: Packet; endpoints: string[] }>();
  const text = ({ address, port }: PlanEndpoint): string => `${address}:${port}`;
  const add = (port: ServicePortPlan): void => {
    const protocol = port.protocol.toLowerCase() as 'tcp' | 'udp' | 'sctp';
    for (const { address, port: dport, verdict } of port.frontends) {
      if (verdict.kind !== 'forward') continue;
      const endpoints = (verdict.endpoints === 'local' ? port.localEndpoints : port.clusterEndpoints).map(text);
      const dst = address === '' ? '192.168.88.10' : address;
      const packet = { src: outside, dst, dport, protocol, dstLocal: address === '' };
      ways.set(`${dst} ${protocol} ${dport}`, { packet, endpoints });
    }
  };
  for (const { ports } of services) ports.forEach(add);
  return ways;
}

/** Writes in small calls. What all of these clusters forward is forwarded after every commit, to endpoints of one of them. */
async function expectNoGap(
  tables: FakeIptables,
  past: readonly (readonly ServicePlan[])[],
  to: ServicePlan[],
  { limit, hasBpf }: { limit: number; hasBpf: boolean },
): Promise<void> {
  const after = forwarded(to);
  const before = past.map(forwarded);
  const look = (): void => {
    for (const [way, { packet, endpoints }] of after) {
      const old = before.flatMap((ways) => ways.get(way) ?? []);
      if (old.length < past.length) continue;
      const chances = chancesOf(tables, packet);
      const allowed = new Set([...old.flatMap((then) => then.endpoints), ...endpoints]);
      const sum = [...chances.values()].reduce((total, chance) => total + chance, 0);
      expect({ way, sum, strangers: [...chances.keys()].filter((one) => !allowed.has(one)) }).toEqual({
        way,
        sum: expect.closeTo(1, 6) as number,
        strangers: [],
      });
    }
  };
  look();
  const backend = await backendFor(plan('IPv4', to), { tables, hasBpf });
  tables.beforeCommit = look;
  for (const step of await largeSteps(backend, tables, limit)) await tables.restore(printStep(step));
  tables.beforeCommit = undefined;
  for (const { packet, endpoints } of after.values())
    expect([...chancesOf(tables, packet).keys()].sort()).toEqual([...endpoints].sort());
  expect((await backendFor(plan('IPv4', to), { tables, hasBpf })).diff()).toBeUndefined();
}

/** Each Service of everyKind: as it is, with other endpoints, or missing. */
const kinds = everyKind('IPv4').filter(({ key }) => !/many-[1-3]?\d$/.test(key) || key.endsWith('-1'));
const anyClusterArb: fc.Arbitrary<ServicePlan[]> = fc
  .array(fc.constantFrom('gone', 'as it is', 'moved'), { minLength: kinds.length, maxLength: kinds.length })
  .map((states) =>
    kinds.flatMap((kind, i) => {
      if (states[i] === 'gone') return [];
      if (states[i] === 'as it is') return kind;
      const move = (list: readonly PlanEndpoint[]): PlanEndpoint[] =>
        list.map(({ address, ...rest }) => ({ ...rest, address: address.replace('10.244.1.', '10.244.9.') }));
      const ports = kind.ports.map((port) => ({
        ...port,
        clusterEndpoints: move(port.clusterEndpoints),
        localEndpoints: move(port.localEndpoints),
      }));
      return { ...kind, ports };
    }),
  );

describe('at every step of a large write', () => {
  const waysArb = fc.record({ limit: fc.integer({ min: 1, max: 12 }), hasBpf: fc.boolean() });

  test('from one cluster to another, what is forwarded in both is forwarded', async () => {
    await fc.assert(
      fc.asyncProperty(anyClusterArb, anyClusterArb, waysArb, async (from, to, ways) => {
        const tables = new FakeIptables();
        const backend = await backendFor(plan('IPv4', from), { tables, hasBpf: ways.hasBpf });
        await backend.apply(backend.diff() ?? []);
        await expectNoGap(tables, [from], to, ways);
      }),
      { numRuns: 12 },
    );
  }, 30_000);

  test("from kube-proxy's rules, what is forwarded in both is forwarded", async () => {
    await fc.assert(
      fc.asyncProperty(plainArb, plainArb, waysArb, async (from, to, ways) => {
        await expectNoGap(await kubeProxyNode(from), [toPlan(from)], toPlan(to), ways);
      }),
      { numRuns: 30 },
    );
  }, 30_000);

  test('if a process is killed after some call, the next one goes on without a gap', async () => {
    await fc.assert(
      fc.asyncProperty(plainArb, plainArb, plainArb, fc.nat(30), waysArb, async (from, mid, to, calls, ways) => {
        const tables = await kubeProxyNode(from);
        const backend = await backendFor(plan('IPv4', toPlan(mid)), { tables, hasBpf: ways.hasBpf });
        const steps = await largeSteps(backend, tables, ways.limit);
        for (const step of steps.slice(0, calls)) await tables.restore(printStep(step));
        await expectNoGap(tables, [toPlan(from), toPlan(mid)], toPlan(to), ways);
      }),
      { numRuns: 30 },
    );
  }, 30_000);
});
