import fc from 'fast-check';
import { IptablesBackend } from '../../../src/backends/iptables/backend';
import { planSteps } from '../../../src/backends/iptables/diff';
import type { MutablePlan, PlanEndpoint, ServicePlan, ServicePortPlan } from '../../../src/planner/plan';
import { printStep, type Step } from '../../../src/xtables/rules';
import { FakeIptables } from '../../support/fake-iptables';
import { jumps as kubeProxyJumps, type KubeProxyService, printSync } from '../../support/kube-proxy-rules';
import { clusterIP, endpoint, everyKind, plan, service, servicePort } from '../../support/plans';
import { chancesOf, type Packet } from './walk-rules';
import { iptablesSettings } from '../../support/settings';

interface Start {
  readonly tables?: FakeIptables;
  readonly hasBpf?: boolean;
}

async function backendFor(plan: MutablePlan, { tables = new FakeIptables(), hasBpf = true }: Start = {}) {
  const backend = new IptablesBackend('IPv4', { ...iptablesSettings, hasBpf }, tables);
  backend.render(plan);
  await backend.read();
  return backend;
}

async function missingJumps(backend: IptablesBackend, tables: FakeIptables) {
  const { jumps } = await tables.save();
  return backend.rules.jumps.filter(
    (jump) => !jumps.some(({ table, from, rule }) => table === jump.table && from === jump.from && rule === jump.rule),
  );
}

/** The write of a cluster so large that few chains fit in a call. */
async function largeSteps(backend: IptablesBackend, tables: FakeIptables, limit: number): Promise<Step[]> {
  return planSteps(
    backend.rules,
    { missingJumps: await missingJumps(backend, tables), staleJumps: [], usedByOthers: new Set() },
    limit,
  );
}

function natChains(step: Step): string[] {
  return step.tables.flatMap(({ table, chains }) => (table === 'nat' ? chains.map(([chain]) => chain) : []));
}

test('nothing that differs is no step', async () => {
  const tables = new FakeIptables();
  const backend = await backendFor(plan('IPv4', everyKind('IPv4')), { tables });
  await backend.apply(backend.diff() ?? []);
  expect(await largeSteps(backend, tables, 1)).toEqual([]);
});

test('what fits goes in one call, deletions too', async () => {
  const tables = new FakeIptables();
  await tables.restore('*nat\n:KUBE-SVC-OLD - [0:0]\nCOMMIT\n');
  const backend = await backendFor(plan('IPv4', everyKind('IPv4')), { tables });
  const [step, ...more] = await largeSteps(backend, tables, 1000);
  expect(more).toEqual([]);
  expect(step?.title).toBe('all');
  expect(step?.tables.flatMap(({ deletions }) => deletions)).toEqual(['KUBE-SVC-OLD']);
});

const many = Array.from({ length: 1100 }, (_, i) =>
  service([
    servicePort(`s${i}`, {
      frontends: [clusterIP(`10.96.${i >> 8}.${i & 255}`)],
      clusterEndpoints: [endpoint('10.244.1.2')],
    }),
  ]),
);

test.each([
  ['legacy', ['all']],
  ['nft', ['marks', 'services', 'services', 'dispatch']],
] as const)('a large write with %s', async (variant, titles) => {
  const backend = await backendFor(plan('IPv4', many), { tables: new FakeIptables(variant) });
  expect(backend.diff()?.map(({ title }) => title)).toEqual(titles);
});

test.each([{ hasBpf: true }, { hasBpf: false }])(
  'a large write, xt_bpf %p: each call is taken by itself, no larger than the limit, marks first, removals last',
  async ({ hasBpf }) => {
    const limit = 7;
    const tables = new FakeIptables();
    await tables.restore(
      [
        '*nat',
        ...['KUBE-SVC-A', 'KUBE-SEP-B', 'KUBE-EXT-C', 'KUBE-MARK-MASQ'].map((chain) => `:${chain} - [0:0]`),
        '-A KUBE-EXT-C -j KUBE-SVC-A',
        '-A KUBE-SVC-A -j KUBE-SEP-B',
        '-A KUBE-SEP-B -j KUBE-MARK-MASQ',
        'COMMIT',
        '',
      ].join('\n'),
    );
    const backend = await backendFor(plan('IPv4', everyKind('IPv4')), { tables, hasBpf });
    const steps = await largeSteps(backend, tables, limit);
    const titles = steps.map(({ title }) => title);
    expect(titles.filter((title, i) => title !== titles[i - 1]).filter((title) => title !== 'hairpin')).toEqual([
      'marks',
      'services',
      'dispatch',
      'removals',
    ]);
    for (const step of steps) {
      if (step.title === 'services') expect(natChains(step).length).toBeLessThanOrEqual(limit);
      if (step.title === 'removals') expect(step.tables[0]?.deletions.length).toBeLessThanOrEqual(limit);
      await tables.restore(printStep(step));
    }
    await backend.read();
    expect(backend.diff()).toBeUndefined();
  },
);

test('of stale chains whoever jumps goes first, a chain a call', async () => {
  const tables = new FakeIptables();
  const chains = ['KUBE-SEP-A', 'KUBE-SVC-B', 'KUBE-EXT-C', 'KUBE-FW-D'];
  const rules = chains.slice(1).map((chain, i) => `-A ${chain} -j ${chains[i] ?? ''}`);
  await tables.restore(['*nat', ...chains.map((chain) => `:${chain} - [0:0]`), ...rules, 'COMMIT', ''].join('\n'));
  const backend = await backendFor(plan('IPv4', []), { tables });
  const steps = await largeSteps(backend, tables, 1);
  const removed = steps.flatMap(({ tables: parts }) => parts.flatMap(({ deletions }) => deletions));
  expect(removed).toEqual([...chains].reverse());
});

test('postrouting leads to the marks before any chain of a Service is written', async () => {
  const tables = new FakeIptables();
  const backend = await backendFor(plan('IPv4', everyKind('IPv4')), { tables });
  const [first] = await largeSteps(backend, tables, 5);
  expect(natChains(first as Step).sort()).toEqual(['KUBE-MARK-MASQ', 'KUBE-POSTROUTING']);
  expect(first?.tables[0]?.jumps.map(({ from }) => from)).toEqual(['POSTROUTING']);
});

describe('a chain that a chain of others jumps to', () => {
  const foreign = ['*nat', ':KUBE-OLDER-XLB - [0:0]', '-A KUBE-OLDER-XLB -j KUBE-SVC-AAAAAAAAAAAAAAAA', 'COMMIT', ''];
  const stale = ['*nat', ':KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]', ':KUBE-SEP-B - [0:0]'];

  test.each([
    ['small', everyKind('IPv4')],
    ['large', many],
  ])('does not hold up a %s write that has no more use for it', async (_, services) => {
    const tables = new FakeIptables();
    await tables.restore([...stale, '-A KUBE-SVC-AAAAAAAAAAAAAAAA -j KUBE-SEP-B', 'COMMIT', ''].join('\n'));
    await tables.restore(foreign.join('\n'));
    const backend = await backendFor(plan('IPv4', services), { tables });
    await backend.apply(backend.diff() ?? []);
    expect(tables.tables.get('nat')?.get('KUBE-OLDER-XLB')).toEqual(['-j KUBE-SVC-AAAAAAAAAAAAAAAA']);
    expect(tables.tables.get('nat')?.has('KUBE-SEP-B')).toBe(false);
    expect((await backendFor(plan('IPv4', services), { tables })).diff()).toBeUndefined();
  });
});

describe('KUBE-FIREWALL, which the kubelet shares', () => {
  const block =
    '! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP';
  const theirs =
    '-m comment --comment "kubernetes firewall for dropping marked packets" -m mark --mark 0x8000/0x8000 -j DROP';
  const firewall = (...rules: string[]): string =>
    ['*filter', ':KUBE-FIREWALL - [0:0]', ...rules.map((rule) => `-A KUBE-FIREWALL ${rule}`), 'COMMIT', ''].join('\n');

  async function start(tables: FakeIptables): Promise<void> {
    // As the reconciler does: what is there is read first.
    const backend = new IptablesBackend('IPv4', iptablesSettings, tables);
    await backend.read();
    backend.render(plan('IPv4', []));
    await backend.apply(backend.diff() ?? []);
  }

  test('is not written again by the next process', async () => {
    const tables = new FakeIptables();
    await start(tables);
    const { length } = tables.inputs;
    await start(tables);
    expect(tables.inputs).toHaveLength(length);
  });

  test.each([{ has: [theirs] }, { has: [theirs, block] }])('keeps the rules of others: $has', async ({ has }) => {
    const tables = new FakeIptables();
    await tables.restore(firewall(...has));
    await start(tables);
    const rules = tables.tables.get('filter')?.get('KUBE-FIREWALL') ?? [];
    expect([...rules].sort()).toEqual([block, theirs].sort());
  });
});

/** Plain Services, so that kube-proxy's layout of them is at hand too. */
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

/** Every way in that is forwarded for somebody outside, and the endpoints that may answer. */
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

/** Writes in small calls; what all of these clusters forward is forwarded after every commit, to endpoints of one of them. */
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

/** Each Service of everyKind, perhaps with other endpoints, perhaps not there. */
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

  test('where a process was killed after some call, the next one goes on without a gap', async () => {
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
