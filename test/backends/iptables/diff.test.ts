import { IptablesBackend } from '../../../src/backends/iptables/backend';
import { printStep, type Step } from '../../../src/xtables/rules';
import { FakeIptables } from '../../support/fake-iptables';
import { clusterIP, endpoint, everyKind, plan, service, servicePort } from '../../support/plans';
import { iptablesSettings } from '../../support/settings';
import { backendFor, largeSteps } from './large-write';

function natChains(step: Step): string[] {
  return step.tables.flatMap(({ table, chains }) => (table === 'nat' ? chains.map(([chain]) => chain) : []));
}

test('without differences there is no step', async () => {
  const tables = new FakeIptables();
  const backend = await backendFor(plan('IPv4', everyKind('IPv4')), { tables });
  await backend.apply(backend.diff() ?? []);
  expect(await largeSteps(backend, tables, 1)).toEqual([]);
});

test('what fits is written in one call, with the deletions', async () => {
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

test('of stale chains those that jump are deleted first, one chain per call', async () => {
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
    // As the reconciler does, it first reads what is there.
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
