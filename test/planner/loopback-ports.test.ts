import type { Frontend, PlanEndpoint, ServicePortPlan } from '../../src/planner/plan';
import { drawEndpoint, loopbackPorts } from '../../src/planner/loopback-ports';
import { clusterIP, endpoint, service, servicePort } from '../support/plans';

const here = endpoint('fd44:1::2', 8080, true);
const elsewhere = endpoint('fd44:2::2');

function nodePort(port: number, over: Partial<Frontend> = {}): Frontend {
  return { ...clusterIP('', port), kind: 'NodePort', masquerade: 'always', ...over };
}

function portsOf(over: Partial<ServicePortPlan>): ReturnType<typeof loopbackPorts> {
  const lists = { clusterEndpoints: [here, elsewhere], localEndpoints: [here] };
  return loopbackPorts(service([servicePort('web', { ...lists, ...over })]));
}

test('a NodePort of TCP', () => {
  expect(
    portsOf({ portName: 'http', frontends: [clusterIP('fd96::1'), nodePort(30080)], affinitySeconds: 60 }),
  ).toEqual([{ port: 30080, name: 'default/web:http', endpoints: [here, elsewhere], affinitySeconds: 60 }]);
});

test.each<[string, Partial<ServicePortPlan>]>([
  ['of UDP', { protocol: 'UDP', frontends: [nodePort(30080)] }],
  ['that the Service does not have', { frontends: [clusterIP('fd96::1')] }],
  ['without an endpoint', { frontends: [nodePort(30080, { verdict: { kind: 'reject', why: 'no endpoints' } })] }],
])('no port: a NodePort %s', (_, over) => {
  expect(portsOf(over)).toEqual([]);
});

test.each<Frontend['verdict']>([
  { kind: 'forward', endpoints: 'local' },
  { kind: 'drop', why: 'no local endpoints' },
])('under policy Local the node reaches every endpoint (%j)', (verdict) => {
  const frontends = [nodePort(30080, { verdict, localSourcesToCluster: true })];
  expect(portsOf({ frontends }).map(({ endpoints }) => endpoints)).toEqual([[here, elsewhere]]);
});

describe('the choice of an endpoint', () => {
  const weighted = (weight: number, name = 1): PlanEndpoint => ({ ...endpoint(`fd44::${name}`), weight });
  const all = [endpoint('fd44::1'), weighted(3, 2), weighted(0, 3)];
  const none = new Set<PlanEndpoint>();

  test('gives each its share', () => {
    const drawn = Array.from({ length: 100 }, (_, i) => drawEndpoint(all, none, i / 100));
    expect(all.map((each) => drawn.filter((one) => one === each).length)).toEqual([25, 75, 0]);
  });

  test('leaves out what was tried, until none is left', () => {
    const [first, second] = all;
    if (first === undefined || second === undefined) throw new TypeError('there are three');
    expect(drawEndpoint(all, new Set([second]), 0.99)).toBe(first);
    expect(drawEndpoint(all, new Set([first, second]), 0)).toBeUndefined();
  });
});
