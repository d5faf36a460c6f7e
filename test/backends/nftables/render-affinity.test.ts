import { assignAffinityIds } from '../../../src/backends/nftables/affinity-ids';
import { adoptClients, kubeProxyAffinitySet } from '../../../src/backends/nftables/adopt-affinity';
import { printRule } from '../../../src/backends/nftables/print';
import {
  affinityChain,
  type AffinityList,
  affinityPrefix,
  clientsOf,
  type RenderedAffinity,
  renderAffinity,
} from '../../../src/backends/nftables/render-affinity';
import type { Frontend, PlanEndpoint, ServicePortPlan } from '../../../src/planner/plan';
import { clusterIP, endpoint, servicePort } from '../../support/plans';

const settings = {
  family: 'IPv4',
  masqueradeMark: 0x4000,
  localDetector: { kind: 'cidr', cidr: '10.244.1.0/24' },
} as const;
const local = endpoint('10.244.1.2', 8080, true);
const remote = endpoint('10.244.2.2', 8080);

function listOf(endpoints: readonly PlanEndpoint[]): AffinityList {
  return {
    pick: { kind: 'numgen', mode: 'random', modulus: endpoints.length },
    values: endpoints.map(({ address, port }) => `${address} . ${port}`),
  };
}

function lists(port: ServicePortPlan): { readonly cluster: AffinityList; readonly local: AffinityList } {
  return { cluster: listOf(port.clusterEndpoints), local: listOf(port.localEndpoints) };
}

function sticky(frontends: readonly Frontend[], endpoints: readonly PlanEndpoint[]): ServicePortPlan {
  const localEndpoints = endpoints.filter(({ isLocal }) => isLocal);
  return servicePort('web', { frontends, clusterEndpoints: endpoints, localEndpoints, affinitySeconds: 600 });
}

function print({ chains }: RenderedAffinity): Record<string, readonly string[]> {
  const short = (text: string): string => text.replaceAll(/vipwire-affinity-[0-9a-f]{16}/g, 'X');
  return Object.fromEntries(
    Array.from(chains, ([name, rules]) => [short(name), rules.map((rule) => short(printRule(rule, 'IPv4')))]),
  );
}

const vip: Frontend = { ...clusterIP('10.96.0.10'), masquerade: 'never' };
const external: Frontend = {
  ...vip,
  kind: 'LoadBalancer',
  address: '192.0.2.1',
  verdict: { kind: 'forward', endpoints: 'local' },
  localSourcesToCluster: true,
};

test('one chain for all frontends that reach the same list', () => {
  const port = sticky([vip, { ...vip, kind: 'ExternalIP', address: '192.0.2.9' }], [local, remote]);
  const rendered = renderAffinity(port, lists(port), settings);
  expect(print(rendered)).toEqual({
    X: [
      'meta priority set ip saddr map @X-clients update @X-clients { ip saddr timeout 600s : meta priority }' +
        ' meta l4proto tcp dnat to meta priority map @X-endpoints comment "default/web"',
      'meta priority set ip saddr map @X-clients delete @X-clients { ip saddr : meta priority }',
      'meta priority set numgen random mod 2 map @X-slots update @X-clients { ip saddr timeout 600s : meta priority }',
      'meta priority set ip saddr map @X-clients meta l4proto tcp dnat to meta priority map @X-endpoints',
      'meta priority set numgen random mod 2 map @X-slots meta l4proto tcp dnat to meta priority map @X-endpoints',
    ],
  });
  const ends = rendered.sets.map(({ name }) => name.slice(affinityPrefix.length).replace(/^[0-9a-f]{16}/, ''));
  expect(ends).toEqual(['-clients', '-endpoints', '-slots']);
  for (const frontend of port.frontends)
    expect(rendered.chains.has(affinityChain(port, frontend, lists(port)) ?? '')).toBe(true);
});

test('frontends that masquerade set the mark, and go to the same chain', () => {
  const port = sticky([vip, { ...vip, masquerade: 'not-local-pods' }, { ...vip, masquerade: 'always' }], [remote]);
  const chains = print(renderAffinity(port, lists(port), settings));
  expect(Object.keys(chains)).toEqual(['X', 'X-others', 'X-all']);
  expect(chains['X-others']).toEqual([
    'ip saddr != 10.244.1.0/24 mark set mark or 0x4000 comment "default/web"',
    'goto X',
  ]);
  expect(chains['X-all']).toEqual(['mark set mark or 0x4000 comment "default/web"', 'goto X']);
});

test('with policy Local, both lists share the clients and the numbers', () => {
  const port = sticky([vip, external], [local, remote]);
  const { sets, elements, slots } = renderAffinity(port, lists(port), settings);
  expect(sets.filter(({ dynamicSize }) => dynamicSize !== undefined)).toEqual([clientsOf(port)]);
  expect(sets.every(({ name }) => name.startsWith(affinityPrefix))).toBe(true);
  const [cluster = [], here = []] = [...elements.values()];
  expect(cluster).toHaveLength(2);
  expect(here).toEqual(cluster.filter(({ value }) => value === '10.244.1.2 . 8080'));
  expect([...slots.values()]).toEqual([cluster.map(({ key }) => key), here.map(({ key }) => key)]);
  expect(print(renderAffinity(port, lists(port), settings))['X-policy-local']).toEqual([
    'ip saddr 10.244.1.0/24 goto X comment "default/web"',
    'fib saddr type local mark set mark or 0x4000 goto X',
    'goto X-local',
  ]);
});

test('without local endpoints, only this node reaches an external frontend with policy Local', () => {
  const port = sticky([{ ...external, verdict: { kind: 'drop', why: 'no local endpoints' } }], [remote]);
  const chains = print(renderAffinity(port, lists(port), settings));
  expect(Object.keys(chains)).toEqual(['X', 'X-policy-local-none']);
  expect(chains['X-policy-local-none']).toHaveLength(2);
});

test('without endpoints there is nothing', () => {
  const port = sticky([{ ...vip, verdict: { kind: 'reject', why: 'no endpoints' } }], []);
  const { sets, chains } = renderAffinity(port, lists(port), settings);
  expect([sets.length, chains.size]).toEqual([0, 0]);
  expect(port.frontends.map((frontend) => affinityChain(port, frontend, lists(port)))).toEqual([undefined]);
});

test('an endpoint keeps its number when others come and go', () => {
  const all = Array.from({ length: 2000 }, (_, i) => `10.244.${i >> 8}.${i & 255} . 8080`);
  const ids = assignAffinityIds(all);
  expect(new Set(ids.values()).size).toBe(all.length);
  for (const id of ids.values()) expect(id).toMatch(/^[1-7]?[0-9a-f]{1,3}:[0-9a-f]{0,3}0$/);
  const fewer = assignAffinityIds(all.filter((_, i) => i % 3 !== 0));
  for (const [value, id] of fewer) expect(ids.get(value)).toBe(id);
});

test('a number that two endpoints would have is given to one of them', () => {
  const ids = assignAffinityIds(Array.from({ length: 60_000 }, (_, i) => `10.${i >> 8}.${i & 255}.1 . 80`));
  expect(new Set(ids.values()).size).toBe(60_000);
});

describe('clients that kube-proxy remembers', () => {
  const port = sticky([vip], [local, remote]);
  const [here = '', there = ''] = lists(port).cluster.values;

  test('sets have the names that kube-proxy gives them', () => {
    const tcp = { ...port, portName: '' };
    expect(kubeProxyAffinitySet(tcp, '10.244.1.2 . 8080')).toBe('affinity-X665QFQS-default/web/tcp/__10.244.1.2/8080');
    expect(kubeProxyAffinitySet(tcp, '10.244.2.2 . 8080')).toBe('affinity-K52L44CG-default/web/tcp/__10.244.2.2/8080');
    const long = { ...port, portName: 'p'.repeat(255) };
    expect(kubeProxyAffinitySet(long, 'fd44::2 . 8080')).toMatch(
      /^affinity-[A-Z2-7]{8}-default\/web\/tcp\/p{212}\.\.\.$/,
    );
  });

  test('each stays with its endpoint for as long as it would have stayed', () => {
    const sets = new Map([
      [
        kubeProxyAffinitySet(port, here),
        [
          { address: '192.0.2.7', remainingMs: 1500 },
          { address: '192.0.2.8', remainingMs: 700_000 },
        ],
      ],
      [kubeProxyAffinitySet(port, there), [{ address: '192.0.2.7', remainingMs: 3000 }]],
      ['affinity-AAAAAAAA-default/other/tcp/__10.244.2.2/8080', [{ address: '192.0.2.9', remainingMs: 3000 }]],
    ]);
    const ids = assignAffinityIds([here, there]);
    const elements = [...adoptClients(port, lists(port), sets)].sort((a, b) => a.key.localeCompare(b.key));
    expect(elements).toEqual([
      { key: '192.0.2.7', value: ids.get(there), timeout: { seconds: 600, remainingMs: 3000 } },
      { key: '192.0.2.8', value: ids.get(here), timeout: { seconds: 600, remainingMs: 600_000 } },
    ]);
  });
});
