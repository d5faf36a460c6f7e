import { labConfiguration } from '../conformance/planned-cluster';
import { nodes, service, slice } from '../conformance/objects';
import type { ClusterObject } from '../conformance/scenario';
import { nodeConfigOf } from '../../src/config/node-config';
import { modes } from '../../src/modes/modes';
import { parseKernel } from '../../src/compare/parse-kernel';
import { explainConnection, type Explanation, type ExplainScope } from '../../src/explain/explain-connection';
import { explainPod, explainService } from '../../src/explain/explain-service';
import { printExplanation, printWaysIn } from '../../src/explain/print-explanation';
import { nodeOfClient, parseClient, parseTarget } from '../../src/explain/question';
import { ClusterStore } from '../../src/model/cluster-store';
import { serviceKey } from '../../src/model/cluster';
import { planNodeSettings } from '../../src/planner/node-settings';
import { planCluster } from '../../src/planner/plan-cluster';
import { parseManifests } from '../../src/sources/manifests/parse-manifests';

const addresses = ['192.168.88.10', 'fd88::10'];

function scopeOf(objects: readonly ClusterObject[], config: Parameters<typeof labConfiguration>[0] = {}): ExplainScope {
  const store = new ClusterStore(0);
  const text = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [...nodes, ...objects] });
  store.apply(parseManifests(text, 'cluster').objects.flatMap(({ sets }) => sets));
  const configuration = labConfiguration(config);
  const { settings } = planNodeSettings(
    nodeConfigOf(configuration, 'node', modes[configuration.mode]),
    store.nodes.get('node'),
    addresses,
  );
  const plan = planCluster(store, 'IPv4', settings);
  const parsed = parseKernel(modes[configuration.mode].renderTexts(plan, configuration), plan);
  if (parsed === undefined) throw new Error('no rules');
  return { cluster: store, plan, kernel: parsed.kernel, nodeAddresses: parsed.nodeAddresses };
}

function ask(scope: ExplainScope, from: string, to: string): Explanation {
  const client = parseClient(from, 'IPv4', scope.cluster, scope.plan.settings);
  const explanation = explainConnection(client, parseTarget(to, scope.cluster), scope);
  expect(explanation.disagreement).toBe('');
  return explanation;
}

const vip = '10.96.0.10:80';
const loadBalancer = { type: 'LoadBalancer', ingress: [{ ip: '203.0.113.5' }] } as const;
const onlyHere = { externalTrafficPolicy: 'Local' };

const atNode: Parameters<typeof slice>[0] = [['a', { address: '192.168.88.10' }]];

test.each<[mode: 'iptables' | 'ipvs', from: string, to: string, source: RegExp]>(
  (['iptables', 'ipvs'] as const).flatMap((mode) => [
    [mode, 'outside', vip, /^kept \(192\.0\.2\.1\): 192\.168\.88\.10:8080 is this node's own address/],
    [
      mode,
      'outside',
      '192.168.88.10:30080',
      /^kept \(192\.0\.2\.1\): 192\.168\.88\.10:8080 is this node's own address/,
    ],
    [mode, 'node', vip, /^masqueraded/],
  ]),
)('%s: a Pod in the network of this node sees %s, who asks for %s', (mode, from, to, source) => {
  const scope = scopeOf([service({ type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] }), slice(atNode)], {
    mode,
  });
  expect(ask(scope, from, to).source).toMatch(source);
});

test('of several endpoints it is told which one sees the client', () => {
  const { source } = ask(scopeOf([service(), slice([...atNode, 'd'])]), 'outside', vip);
  expect(source).toMatch(/^masqueraded .*; kept \(192\.0\.2\.1\) to 192\.168\.88\.10:8080, this node's own address/);
});

const reasons: readonly (readonly [
  what: string,
  objects: readonly ClusterObject[],
  from: string,
  to: string,
  outcome: Explanation['outcome'],
  because: string,
  leftOut: readonly string[],
])[] = [
  [
    'any endpoint',
    [service(), slice(['a', 'd'])],
    'outside',
    vip,
    'forwarded',
    'internalTrafficPolicy is Cluster: endpoints on any node',
    [],
  ],
  [
    'not ready, terminating',
    [service(), slice(['a', ['b', { ready: false }], ['c', { ready: false, serving: true, terminating: true }]])],
    'node',
    vip,
    'forwarded',
    'internalTrafficPolicy is Cluster: endpoints on any node',
    ['not ready', 'terminating; other endpoints are ready'],
  ],
  [
    'the last resort',
    [service(), slice([['c', { ready: false, serving: true, terminating: true }]])],
    'node',
    vip,
    'forwarded',
    'no endpoint is ready: terminating endpoints that still serve are used (KEP-1669)',
    [],
  ],
  [
    'zone hints',
    [
      service(),
      slice([
        ['a', { zones: ['z1'] }],
        ['d', { zones: ['z2'] }],
      ]),
    ],
    'node',
    vip,
    'forwarded',
    'topology hints: 1 of 2 ready endpoints are for zone z1',
    ['hinted to zone z2; this node is in z1'],
  ],
  [
    'Local without one here',
    [service({ ...loadBalancer, spec: onlyHere }), slice(['d', 'e'])],
    'outside',
    '203.0.113.5:80',
    'dropped',
    'externalTrafficPolicy is Local and node has no ready endpoint of default/web; 2 are on node2',
    ['on node2: externalTrafficPolicy is Local', 'on node2: externalTrafficPolicy is Local'],
  ],
  [
    'Local, and a pod of this node asks',
    [service({ ...loadBalancer, spec: onlyHere }), slice(['d'])],
    '10.244.1.77',
    '203.0.113.5:80',
    'forwarded',
    "externalTrafficPolicy is Local, for clients outside; a pod of this node reaches the whole cluster by a Service's external addresses",
    [],
  ],
  [
    'out of the source ranges',
    [service({ ...loadBalancer, spec: { loadBalancerSourceRanges: ['198.18.0.0/15'] } }), slice(['a'])],
    'outside',
    '203.0.113.5:80',
    'dropped',
    "192.0.2.1 is not in the load balancer's source ranges (198.18.0.0/15)",
    [],
  ],
  [
    'no slice',
    [service()],
    'outside',
    vip,
    'refused',
    'default/web has no endpoints: its selector matches no pod, or it has no selector and no EndpointSlice',
    [],
  ],
  [
    'a slice with another port',
    [service({ ports: [{ name: 'http', port: 80 }] }), slice(['a'], { ports: [{ name: 'web', port: 8080 }] })],
    'outside',
    vip,
    'refused',
    'no EndpointSlice of default/web has the port http/TCP: they have web/TCP',
    [],
  ],
  [
    'none ready',
    [service(), slice([['a', { ready: false }]])],
    'outside',
    vip,
    'refused',
    'default/web has no endpoint that is ready: 1 not ready',
    ['not ready'],
  ],
  [
    'a port that it has not',
    [service(), slice(['a'])],
    'outside',
    '10.96.0.10:81',
    'untouched',
    '10.96.0.10 is ClusterIP of default/web, which has no port 81/tcp: it has 80/tcp',
    [],
  ],
  [
    'a pod itself',
    [service(), slice(['a'])],
    'outside',
    '10.244.1.2:8080',
    'untouched',
    '10.244.1.2 is default/a itself, behind Service default/web: no service proxy is involved',
    [],
  ],
];

test.each(reasons)('%s', (_, objects, from, to, outcome, because, leftOut) => {
  const explanation = ask(scopeOf(objects), from, to);
  expect(explanation.outcome).toBe(outcome);
  expect(explanation.reasons).toContain(because);
  expect(explanation.leftOut.map(({ why }) => why)).toEqual(leftOut);
});

test.each(['iptables', 'ipvs'])('the source, in %s mode', (mode) => {
  const objects = [
    service({ type: 'NodePort', ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }] }),
    slice(['a', 'd']),
  ];
  const scope = scopeOf(objects, { mode });
  const sourceOf = (from: string, to: string): string => ask(scope, from, to).source.replace(/[ ,].*/, '');
  expect(sourceOf('10.244.1.77', vip)).toBe('kept');
  expect(sourceOf('outside', vip)).toBe('masqueraded');
  expect(sourceOf('node', vip)).toBe('masqueraded');
  expect(sourceOf('10.244.1.77', '192.168.88.10:30080')).toBe('masqueraded');
  expect(ask(scope, 'pod default/a', vip).source).toContain('always masqueraded when it reaches itself (hairpin)');
});

test('rules that somebody else has changed: it says what they do otherwise', () => {
  const scope = scopeOf([service(), slice(['a', 'd'])]);
  const other = scopeOf([service(), slice(['a'])]);
  const client = parseClient('outside', 'IPv4', scope.cluster, scope.plan.settings);
  const explanation = explainConnection(client, parseTarget(vip, scope.cluster), { ...scope, kernel: other.kernel });
  expect(explanation.disagreement).toBe('the rules do not lead to 10.244.2.2:8080');
  expect(printExplanation(explanation)).toContain('  BUT       the rules do not lead to 10.244.2.2:8080\n');
});

test('all ways in to a Service, and the Services of a pod', () => {
  const objects = [service({ ...loadBalancer, spec: onlyHere }), slice(['a', 'd'])];
  const scope = scopeOf(objects);
  const web = scope.cluster.services.get(serviceKey('default', 'web'));
  if (web === undefined) throw new Error('no Service');
  expect(
    printWaysIn(explainService(web, scope))
      .split('\n')
      .map((line) => line.replaceAll(/ {2,}/g, ' | ')),
  ).toEqual([
    'WAY IN | FROM | OUTCOME | SOURCE | TO, OR WHY NOT',
    'ClusterIP 10.96.0.10:80/tcp | outside | forwarded | masqueraded | default/a 50 %, default/d 50 %',
    'ClusterIP 10.96.0.10:80/tcp | a pod | forwarded | kept | default/a 50 %, default/d 50 %',
    'ClusterIP 10.96.0.10:80/tcp | the node | forwarded | masqueraded | default/a 50 %, default/d 50 %',
    'LoadBalancer 203.0.113.5:80/tcp | outside | forwarded | kept | default/a 100 %',
    'LoadBalancer 203.0.113.5:80/tcp | a pod | forwarded | kept | default/a 50 %, default/d 50 %',
    'LoadBalancer 203.0.113.5:80/tcp | the node | forwarded | masqueraded | default/a 50 %, default/d 50 %',
    '',
  ]);
  expect(explainPod('default/d', scope)).toEqual([
    { service: 'default/web', end: '10.244.2.2:8080', share: { cluster: 0.5, local: 0 }, why: '' },
  ]);
});

test('questions that cannot be asked: one line, with what was most likely meant', () => {
  const { cluster, plan } = scopeOf([service(), slice(['a'])]);
  const target = (text: string): unknown => parseTarget(text, cluster);
  expect(() => target('default/wbe:80')).toThrow('there is no Service default/wbe: did you mean default/web?');
  expect(() => target('default/web:81')).toThrow('Service default/web has no port 81/tcp; it has 80/tcp');
  expect(() => target('10.96.0.10')).toThrow('"10.96.0.10" is not a destination');
  expect(() => target('10.96.0.10:99999')).toThrow('is not a destination');
  expect(target('default/web:80')).toEqual({ address: '10.96.0.10', port: 80, protocol: 'TCP' });
  const client = (text: string): unknown => parseClient(text, 'IPv4', cluster, plan.settings);
  expect(() => client('pod default/b')).toThrow('did you mean default/a?');
  expect(() => client('nowhere')).toThrow('"nowhere" is not a client');
  expect(() => client('fd00::1')).toThrow('fd00::1 cannot connect to an IPv4 address');
  expect(client('192.168.88.10')).toMatchObject({ kind: 'node' });
  expect(nodeOfClient('pod default/a', cluster)).toBe('node');
});
