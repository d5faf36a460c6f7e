import { NftablesBackend } from '../../src/backends/nftables/backend';
import type { Rule, SetElement } from '../../src/backends/nftables/objects';
import { printTableJson, type WholeTable } from '../../src/backends/nftables/print-json';
import { rangesChain } from '../../src/backends/nftables/names';
import { wholeTable } from '../../src/backends/nftables/whole-table';
import { diffNftables } from '../../src/diff/diff-nftables';
import type { ServiceDiff } from '../../src/diff/kernel-diff';
import { printDiff } from '../../src/diff/print-diff';
import { families, type Family } from '../../src/model/address';
import type { Plan } from '../../src/planner/plan';
import { InMemoryTable } from '../backends/nftables/in-memory';
import { readRecordings } from '../compare/recordings';
import { clusterIP, endpoint, everyKind, plan, service, servicePort } from '../support/plans';

const settings = { masqueradeMark: 0x4000 };
const vip = '10.96.0.10 . tcp . 80';
const nodePort = { ...clusterIP('', 30080), kind: 'NodePort', masquerade: 'always' } as const;

function planWith(...addresses: readonly string[]): Plan {
  return planOf(addresses, ['10.0.0.1/32']);
}

function planOf(addresses: readonly string[], sourceRanges: readonly string[]): Plan {
  const clusterEndpoints = addresses.map((address) => endpoint(address));
  const rest = { ...clusterIP('203.0.113.5'), kind: 'LoadBalancer', sourceRanges } as const;
  return plan('IPv4', [
    service([servicePort('web', { frontends: [clusterIP('10.96.0.10'), nodePort], clusterEndpoints })]),
    service([
      servicePort('other', { frontends: [clusterIP('10.96.0.11'), rest], clusterEndpoints: [endpoint('10.244.2.9')] }),
    ]),
  ]);
}

function written(of: Plan): WholeTable {
  const backend = new NftablesBackend(of.family, settings, new InMemoryTable(of.family));
  backend.render(of);
  return wholeTable((backend.diff() ?? []).flatMap(({ writes }) => writes));
}

function diff(wanted: Plan, table: WholeTable): ReturnType<typeof diffNftables> {
  return diffNftables(wanted, printTableJson(table, wanted.family), settings, 'node');
}

/** With other elements in one set. */
function withElements(table: WholeTable, name: string, edit: (all: SetElement[]) => SetElement[]): WholeTable {
  const sets = table.sets.map((one) => (one.set.name === name ? { ...one, elements: edit([...one.elements]) } : one));
  return { ...table, sets };
}

function withRules(table: WholeTable, name: string, edit: (rules: readonly Rule[]) => readonly Rule[]): WholeTable {
  const chains = table.chains.map((one) => (one.name === name ? { ...one, rules: edit(one.rules) } : one));
  return { ...table, chains };
}

const wanted = planWith('10.244.1.2', '10.244.2.2');
const now = written(wanted);

async function onlyDifference(table: WholeTable): Promise<ServiceDiff | undefined> {
  const { differences } = await diff(wanted, table);
  expect(differences).toHaveLength(1);
  return differences[0];
}

test.each(families)('%s: every kind of Service, as it should be', async (family: Family) => {
  const all = plan(family, everyKind(family));
  expect((await diff(all, written(all))).differences).toEqual([]);
});

test('another state of the Service is stale, with the lines that differ', async () => {
  const result = await diff(wanted, written(planWith('10.244.1.2', '10.244.2.77')));
  expect(printDiff(result)).toBe(`\
IPv4, node node, nftables mode: 2 services: 1 stale

default/web: stale: 2 too many, 2 missing
  matches another state of the Service
--- in the kernel
+++ as it should be
@@ frontend 10.96.0.10 . tcp . 80 @@
  to goto vipwire-others-pick-2 # default/web
  + 10.244.1.2 . 8080
- + 10.244.2.77 . 8080
+ + 10.244.2.2 . 8080
@@ frontend tcp . 30080 @@
  to goto vipwire-np-all-pick-2 # default/web
  + 10.244.1.2 . 8080
- + 10.244.2.77 . 8080
+ + 10.244.2.2 . 8080
`);
});

test('a Service that is not written yet, and one that is gone', async () => {
  const [web, other] = [...wanted.services.values()];
  if (web === undefined || other === undefined) throw new Error('two Services');
  const few = plan('IPv4', [other]);
  expect((await diff(wanted, written(few))).differences).toMatchObject([
    { service: 'default/web', cause: 'stale', evidence: ['missing: not written yet, or removed completely'] },
  ]);
  expect((await diff(few, now)).differences).toMatchObject([
    { service: 'default/web', cause: 'stale', evidence: ['left over: no Service needs it now'] },
    { service: '', cause: 'stale' },
  ]);
});

test('no table at all', async () => {
  const { differences } = await diffNftables(wanted, '{"nftables":[]}', settings, 'node');
  expect(differences.map(({ service: of, cause }) => [of, cause])).toEqual([
    ['default/other', 'stale'],
    ['default/web', 'stale'],
    ['', 'stale'],
  ]);
});

const edits: readonly (readonly [string, string, string, WholeTable])[] = [
  [
    'the element that leads to the endpoints is gone',
    'default/web',
    `${vip} leads nowhere, although its endpoints are there: its element was removed`,
    withElements(now, 'vipwire-vips', (all) => all.filter(({ key }) => key !== vip)),
  ],
  [
    'an endpoint is gone',
    'default/web',
    `${vip} has fewer endpoints than vipwire-others-pick-2 picks from`,
    withElements(now, 'vipwire-endpoints', (all) => all.filter(({ key }) => key !== `${vip} . 1`)),
  ],
  [
    'an endpoint too many',
    'default/web',
    `${vip} has more endpoints than vipwire-others-pick-2 picks from`,
    withElements(now, 'vipwire-endpoints', (all) => [...all, { key: `${vip} . 2`, value: '10.9.9.9 . 80' }]),
  ],
  [
    'another endpoint for one frontend',
    'default/web',
    `${vip} has other endpoints than tcp . 30080, which is as it should be`,
    withElements(now, 'vipwire-endpoints', (all) =>
      all.map((one) => (one.key === `${vip} . 1` ? { ...one, value: '10.9.9.9 . 80' } : one)),
    ),
  ],
  [
    'another verdict',
    'default/web',
    `${vip}: vipwire has no such element: drop`,
    withElements(now, 'vipwire-refused-vips', (all) => [...all, { key: vip, value: 'drop' }]),
  ],
  [
    'an address is gone',
    'default/web',
    '10.96.0.10 was removed from vipwire-cluster-ips: all frontends of the Service are as they should be',
    withElements(now, 'vipwire-cluster-ips', (all) => all.filter(({ key }) => key !== '10.96.0.10')),
  ],
  [
    'a rule in a shared chain',
    '',
    'vipwire-others-pick-2 does not depend on the Services that lead to it: it was edited, or written with other settings',
    withRules(now, 'vipwire-others-pick-2', (rules) => [{ statements: [{ kind: 'drop' }] }, ...rules]),
  ],
  [
    'a hook without its rules',
    '',
    'nat-prerouting does not depend on Services: it was edited, or written with other settings',
    withRules(now, 'nat-prerouting', () => []),
  ],
  [
    'a chain of somebody else',
    '',
    'mine was added: vipwire has no such chain',
    { ...now, chains: [...now.chains, { name: 'mine', rules: [] }] },
  ],
  [
    'a set of somebody else',
    '',
    'mine was added: vipwire has no such set',
    { ...now, sets: [...now.sets, { set: { name: 'mine', key: ['port'] }, elements: [] }] },
  ],
];

test.each(edits)('%s', async (_, of, evidence, table) => {
  expect(await onlyDifference(table)).toMatchObject({ service: of, cause: 'foreign', evidence: [evidence] });
});

test('source ranges that changed are stale, and those that somebody edited are not', async () => {
  const before = written(planOf(['10.244.1.2', '10.244.2.2'], ['10.0.0.2/32']));
  expect(await onlyDifference(before)).toMatchObject({ service: 'default/other', cause: 'stale' });
  const chain = rangesChain('203.0.113.5 . tcp . 80', ['10.0.0.1/32']);
  const edited = withRules(now, chain, () => [{ statements: [{ kind: 'drop' }] }]);
  expect(await onlyDifference(edited)).toMatchObject({ service: 'default/other', cause: 'foreign' });
});

test("kube-proxy's table is for compare", async () => {
  const [recording] = readRecordings('nftables');
  await expect(diffNftables(wanted, recording?.nft ?? '', settings, 'node')).rejects.toThrow('use vipwire compare');
});
