import { rangesChain, readRangesChain } from '../../../src/backends/nftables/names';
import { renderPort } from '../../../src/backends/nftables/render-service';
import { printRule } from '../../../src/backends/nftables/print';
import type { ServicePortPlan } from '../../../src/planner/plan';
import { parseScheduler } from '../../../src/model/scheduler';
import { clusterIP, endpoint, servicePort } from '../../support/plans';

const settings = {
  family: 'IPv4',
  masqueradeMark: 0x4000,
  localDetector: { kind: 'cidr', cidr: '10.244.0.0/16' },
} as const;

function textsOf(port: ServicePortPlan): Record<string, string> {
  return Object.fromEntries([...renderPort(port, settings).frontends].map(([key, { text }]) => [key, text]));
}

const pods = [endpoint('10.244.1.2', 8080, true), endpoint('10.244.2.2'), { ...endpoint('10.244.2.3'), weight: 0 }];

test('a plain Service is elements alone', () => {
  const port = servicePort('web', { frontends: [clusterIP('10.96.0.10')], clusterEndpoints: pods });
  expect(textsOf(port)).toEqual({
    '10.96.0.10 . tcp . 80': [
      'to goto vipwire-others-pick-2 # default/web',
      '+ 10.244.1.2 . 8080',
      '+ 10.244.2.2 . 8080',
    ].join('\n'),
  });
  expect(renderPort(port, settings).elements).toEqual([
    { set: 'vipwire-cluster-ips', key: '10.96.0.10', value: '' },
    { set: 'vipwire-hairpin', key: '10.244.1.2 . 10.244.1.2', value: '' },
  ]);
  expect([...renderPort(port, settings).frontends.values()].flatMap(({ ownChains }) => [...ownChains.keys()])).toEqual(
    [],
  );
});

const local = {
  ...clusterIP('203.0.113.1'),
  kind: 'LoadBalancer',
  masquerade: 'never',
  localSourcesToCluster: true,
} as const;

test('policy Local has both lists, and without an endpoint here clients elsewhere are dropped', () => {
  const served = { ...local, verdict: { kind: 'forward', endpoints: 'local' } } as const;
  const localEndpoints = pods.slice(0, 1);
  expect(textsOf(servicePort('web', { frontends: [served], clusterEndpoints: pods, localEndpoints }))).toEqual({
    '203.0.113.1 . tcp . 80': [
      'to goto vipwire-local-2-1 # default/web',
      '+ 10.244.1.2 . 8080',
      '+ 10.244.2.2 . 8080',
      'local 10.244.1.2 . 8080',
    ].join('\n'),
  });
  const dropped = { ...local, verdict: { kind: 'drop', why: 'no local endpoints' } } as const;
  expect(textsOf(servicePort('web', { frontends: [dropped], clusterEndpoints: pods }))).toEqual({
    '203.0.113.1 . tcp . 80': [
      'to goto vipwire-local-2-0 # default/web',
      'refused drop # default/web',
      '+ 10.244.1.2 . 8080',
      '+ 10.244.2.2 . 8080',
    ].join('\n'),
  });
});

test('a scheduler that takes turns needs a chain per frontend, a hash does not', () => {
  const nodePort = { ...clusterIP(''), kind: 'NodePort', port: 30080, masquerade: 'always' } as const;
  const chainsWith = (scheduler: string): string[] => {
    const parsed = parseScheduler(scheduler);
    const port = servicePort('web', {
      frontends: [clusterIP('10.96.0.10'), nodePort],
      clusterEndpoints: pods,
      ...(parsed && { scheduler: parsed }),
    });
    return Object.values(textsOf(port)).map((text) => /goto (\S+)/.exec(text)?.[1] ?? '');
  };
  expect(chainsWith('rr')).toEqual(['vipwire-others-pick-i2-10.96.0.10-tcp-80', 'vipwire-np-all-pick-i2-tcp-30080']);
  expect(chainsWith('mh')).toEqual(['vipwire-others-pick-h251', 'vipwire-np-all-pick-h251']);
});

test('source ranges are a chain per VIP, and a long list is several chains', () => {
  const sourceRanges = Array.from({ length: 150 }, (_, i) => `192.0.2.${i}/32`);
  const restricted = {
    ...clusterIP('203.0.113.1'),
    kind: 'LoadBalancer',
    sourceRanges,
    sourceRangesHaveNode: true,
  } as const;
  const [frontend] = renderPort(
    servicePort('web', { frontends: [restricted], clusterEndpoints: pods }),
    settings,
  ).frontends.values();
  const first = rangesChain('203.0.113.1 . tcp . 80', [...sourceRanges, '203.0.113.1/32']);
  const chains = [...(frontend?.ownChains ?? [])].map(
    ([name, rules]) => [name, rules.length, printRule(rules.at(-1) ?? { statements: [] }, 'IPv4')] as const,
  );
  expect(chains).toEqual([
    [first, 101, `goto ${first}-100`],
    [`${first}-100`, 52, 'drop'],
  ]);
  expect(frontend?.text).toContain(`ranges goto ${first} # default/web`);
  for (const [chain] of chains) expect(readRangesChain(chain)).toBe('203.0.113.1-tcp-80');
});

test('with other source ranges it is another chain, so that ranges and endpoints change at once', () => {
  const key = 'fd00::a . tcp . 80';
  const [before, after] = [rangesChain(key, ['fd01::/16']), rangesChain(key, ['fd02::/16'])];
  expect(before).toMatch(/^vipwire-ranges-fd00..a-tcp-80_[\da-f]{8}$/);
  expect(after).not.toBe(before);
});
