import fc from 'fast-check';
import type { UdpFlow } from '../../src/model/flow';
import type { Service, SliceEndpoint } from '../../src/model/cluster';
import type { Plan, ServicePlan } from '../../src/planner/plan';
import { planService } from '../../src/planner/plan-service';
import { diffUdpFrontends, planStaleFlows, type UdpFrontend } from '../../src/planner/stale-flows';
import { makeEndpoint, makeService, makeSlice } from '../support/cluster-objects';
import { makeSettings } from '../support/settings';

const vip = '10.96.0.10';
const node = '192.168.88.10';
const nodeAddresses = new Set([node, '127.0.0.1']);

interface Dns {
  readonly pods?: readonly (string | SliceEndpoint)[];
  readonly fields?: Partial<Service>;
  readonly protocol?: 'TCP' | 'UDP';
  readonly nodePort?: number;
}

/** A Service of UDP 53 whose pods listen on 5353. */
function dns({ pods = [], fields = {}, protocol = 'UDP', nodePort = 0 }: Dns = {}): ServicePlan {
  const service = makeService({ ports: [{ name: '', protocol, port: 53, nodePort }], ...fields });
  const endpoints = pods.map((pod) => (typeof pod === 'string' ? makeEndpoint(pod) : pod));
  const slice = makeSlice(endpoints, { serviceName: service.name, ports: [{ name: '', protocol, port: 5353 }] });
  const plan = planService(service, [slice], 'IPv4', makeSettings());
  if (plan === undefined) throw new Error('not planned');
  return plan;
}

function planOf(services: readonly (ServicePlan | undefined)[], settings = makeSettings()): Plan {
  const planned = services.filter((service) => service !== undefined);
  return { family: 'IPv4', settings, services: new Map(planned.map((service) => [service.key, service])) };
}

/** `10.96.0.10:53 10.0.0.1:5353`: from what the client asked to who answers. */
function flow(text: string): UdpFlow {
  const [dst = '', dstPort = '', replySrc = '', replySrcPort = ''] = text.split(/[ :]/);
  return { dst, dstPort: Number(dstPort), replySrc, replySrcPort: Number(replySrcPort) };
}

/** Which of the flows are stale after the change of one Service, beside others that stay. */
function stale(
  before: ServicePlan | undefined,
  after: ServicePlan | undefined,
  flows: readonly string[],
  { others = [], settings = makeSettings() }: { others?: readonly ServicePlan[]; settings?: Plan['settings'] } = {},
): string[] {
  const frontends = new Set(diffUdpFrontends(before, after));
  const { ports, isStale } = planStaleFlows(frontends, planOf([after, ...others], settings), nodeAddresses);
  return flows.filter((text) => ports.has(flow(text).dstPort) && isStale(flow(text)));
}

const toA = `${vip}:53 10.0.0.1:5353`;
const toB = `${vip}:53 10.0.0.2:5353`;
const toVip = `${vip}:53 ${vip}:53`;
const a = '10.0.0.1';
const b = '10.0.0.2';
const flows = [
  toA,
  toB,
  toVip,
  '10.96.0.11:53 10.0.0.1:5353',
  `${vip}:54 10.0.0.1:5353`,
  '10.0.0.1:5353 10.0.0.1:5353',
];

test.each<[string, ServicePlan | undefined, ServicePlan | undefined, string[]]>([
  ['nothing changed', dns({ pods: [a] }), dns({ pods: [a] }), []],
  ['an endpoint more', dns({ pods: [a] }), dns({ pods: [a, b] }), []],
  ['an endpoint less', dns({ pods: [a, b] }), dns({ pods: [b] }), [toA, toVip]],
  ['another endpoint', dns({ pods: [a] }), dns({ pods: [b] }), [toA, toVip]],
  ['the first endpoint', dns(), dns({ pods: [a] }), [toB, toVip]],
  ['a new Service', undefined, dns({ pods: [a] }), [toB, toVip]],
  ['a new Service without endpoints', undefined, dns(), []],
  ['the last endpoint', dns({ pods: [a] }), dns(), [toA, toB]],
  ['the Service is gone', dns({ pods: [a] }), undefined, [toA, toB]],
  ['the Service is gone, and had no endpoints', dns(), undefined, []],
  ['it is TCP', dns({ pods: [a], protocol: 'TCP' }), dns({ protocol: 'TCP' }), []],
  ['it becomes TCP', dns({ pods: [a] }), dns({ pods: [a], protocol: 'TCP' }), [toA, toB]],
])('%s', (_, before, after, expected) => {
  expect(stale(before, after, flows)).toEqual(expected);
});

test('no port is looked at where no endpoint changed', () => {
  const { ports } = planStaleFlows(
    new Set(diffUdpFrontends(dns({ pods: [a] }), dns({ pods: [a] }))),
    planOf([]),
    new Set(),
  );
  expect(ports.size).toBe(0);
});

test('terminating endpoints that serve keep their flows, unready ones do not', () => {
  const terminating = makeEndpoint(a, { ready: false, terminating: true });
  const unready = makeEndpoint(a, { ready: false, serving: false });
  expect(stale(dns({ pods: [a, b] }), dns({ pods: [terminating, b] }), [toA, toB])).toEqual([]);
  expect(stale(dns({ pods: [a, b] }), dns({ pods: [unready, b] }), [toA, toB])).toEqual([toA]);
});

test('the traffic policy makes no flow stale', () => {
  const local = dns({ pods: [a, b], fields: { internalTrafficPolicy: 'Local' } });
  expect(stale(dns({ pods: [a, b] }), local, [toA, toB])).toEqual([]);
});

test('every frontend is judged, one that goes too', () => {
  const at = (externalIPs: string[], loadBalancerIPs: string[]): ServicePlan =>
    dns({ pods: [a], fields: { externalIPs, loadBalancerIPs } });
  const external = '198.51.100.1:53 10.0.0.1:5353';
  const loadBalancer = '203.0.113.1:53 10.0.0.1:5353';
  const both = at(['198.51.100.1'], ['203.0.113.1']);
  expect(stale(both, at([], ['203.0.113.1']), [toA, external, loadBalancer])).toEqual([external]);
  expect(stale(both, dns(), [toA, external, loadBalancer])).toEqual([toA, external, loadBalancer]);
});

describe('NodePorts', () => {
  const before = dns({ pods: [a], nodePort: 30053 });
  const after = dns({ pods: [b], nodePort: 30053 });
  const old = `${node}:30053 10.0.0.1:5353`;
  const missed = `${node}:30053 ${node}:30053`;
  const elsewhere = '8.8.8.8:30053 10.0.0.1:5353';

  test('on the addresses of the node and on no others', () => {
    expect(stale(before, after, [old, missed, elsewhere, `${node}:30053 10.0.0.2:5353`])).toEqual([old, missed]);
    expect(stale(before, undefined, [old, missed, elsewhere])).toEqual([old]);
  });

  test('on those where NodePorts answer', () => {
    const some = { kind: 'some' as const, addresses: ['192.168.99.1'] };
    const settings = makeSettings({ nodePortAddresses: { IPv4: some, IPv6: { kind: 'all' } } });
    const there = '192.168.99.1:30053 10.0.0.1:5353';
    expect(stale(before, after, [old, there], { settings })).toEqual([there]);
  });

  test('a Service whose external IP is the same address and port has its own flows', () => {
    const ports = [{ name: '', protocol: 'UDP' as const, port: 30053, nodePort: 0 }];
    const external = dns({ pods: [a], fields: { name: 'external', externalIPs: [node], ports } });
    expect(stale(before, after, [old], { others: [external] })).toEqual([]);
  });
});

test('a frontend that another Service claims too is judged by who serves it', () => {
  const others = [dns({ pods: [b], fields: { name: 'heir' } })];
  expect(stale(dns({ pods: [a] }), undefined, [toA, toB], { others })).toEqual([toA]);
  expect(stale(dns({ pods: [a] }), dns(), [toA, toB], { others })).toEqual([toA]);
});

test('IPv6', () => {
  const service = makeService({
    clusterIPs: { IPv6: 'fd96::10' },
    ports: [{ name: '', protocol: 'UDP', port: 53, nodePort: 0 }],
  });
  const at = (address: string): ServicePlan | undefined => {
    const fields = { family: 'IPv6' as const, ports: [{ name: '', protocol: 'UDP' as const, port: 5353 }] };
    return planService(service, [makeSlice([makeEndpoint(address)], fields)], 'IPv6', makeSettings());
  };
  const after = at('fd00::2');
  const plan: Plan = { ...planOf([after]), family: 'IPv6' };
  const { isStale } = planStaleFlows(new Set(diffUdpFrontends(at('fd00::1'), after)), plan, nodeAddresses);
  const to = (replySrc: string): UdpFlow => ({ dst: 'fd96::10', dstPort: 53, replySrc, replySrcPort: 5353 });
  expect([isStale(to('fd00::1')), isStale(to('fd00::2'))]).toEqual([true, false]);
});

test('a process that starts judges every frontend of the plan', () => {
  const empty = dns({ fields: { name: 'empty', clusterIPs: { IPv4: '10.96.0.11' } } });
  const { ports, isStale } = planStaleFlows('all', planOf([dns({ pods: [a], nodePort: 30053 }), empty]), nodeAddresses);
  expect([...ports].sort()).toEqual([30053, 53]);
  const toEmpty = '10.96.0.11:53 10.0.0.1:5353';
  const gone = '10.96.0.12:53 10.0.0.1:5353';
  expect([toA, toB, toVip, toEmpty, gone, `${node}:30053 10.0.0.2:5353`].filter((text) => isStale(flow(text)))).toEqual(
    [toB, toVip, toEmpty, `${node}:30053 10.0.0.2:5353`],
  );
});

interface Change {
  readonly pods: readonly string[];
  readonly clusterIP: string;
  readonly externalIPs: readonly string[];
  readonly nodePort: number;
}

test('over any history, after each cleaning, exactly the flows are left that could be made now', () => {
  const serviceArb: fc.Arbitrary<Change> = fc.record({
    pods: fc.subarray([a, b]),
    clusterIP: fc.constantFrom(vip, '10.96.0.11'),
    externalIPs: fc.subarray(['198.51.100.1', node]),
    nodePort: fc.constantFrom(0, 30053),
  });
  const changeArb = fc.tuple(fc.constantFrom('web', 'heir'), fc.option(serviceArb, { nil: undefined }));
  const destinations = [vip, '10.96.0.11', '198.51.100.1', node].flatMap((dst) => [`${dst}:53`, `${dst}:30053`]);
  const reaches = ({ clusterIP, externalIPs, nodePort }: Change, destination: string): boolean =>
    [clusterIP, ...externalIPs].some((address) => destination === `${address}:53`) ||
    destination === `${node}:${nodePort}`;
  /** Every flow that a client could make now. */
  const possible = (services: ReadonlyMap<string, Change>): string[] =>
    destinations.flatMap((destination) => {
      const serving = [...services.values()]
        .filter((service) => reaches(service, destination))
        .flatMap(({ pods }) => pods);
      const replies = serving.length === 0 ? [destination] : serving.map((pod) => `${pod}:5353`);
      return [...new Set(replies)].map((reply) => `${destination} ${reply}`);
    });

  fc.assert(
    fc.property(fc.array(fc.array(changeArb, { maxLength: 3 }), { maxLength: 6 }), (rounds) => {
      const wanted = new Map<string, Change>();
      const planned = new Map<string, ServicePlan>();
      let alive = new Set(possible(wanted));
      for (const round of rounds) {
        const frontends = new Set<UdpFrontend>();
        for (const [name, change] of round) {
          const fields = {
            name,
            clusterIPs: { IPv4: change?.clusterIP ?? '' },
            externalIPs: change?.externalIPs ?? [],
          };
          const after = change && dns({ pods: change.pods, nodePort: change.nodePort, fields });
          for (const frontend of diffUdpFrontends(planned.get(name), after)) frontends.add(frontend);
          wanted.delete(name);
          planned.delete(name);
          if (change !== undefined) wanted.set(name, change);
          if (after !== undefined) planned.set(name, after);
        }
        const { ports, isStale } = planStaleFlows(frontends, planOf([...planned.values()]), nodeAddresses);
        const kept = [...alive].filter((text) => !(ports.has(flow(text).dstPort) && isStale(flow(text))));
        const right = new Set(possible(wanted));
        expect(kept.sort()).toEqual([...alive].filter((text) => right.has(text)).sort());
        alive = right;
      }
    }),
    { numRuns: 300 },
  );
});
