import fc from 'fast-check';
import type { AddressJudgement } from '../../../src/backends/backend';
import { parseMark } from '../../../src/backends/ipvs/sets/names';
import { DesiredState } from '../../../src/backends/ipvs/desired-state';
import { families, type Family } from '../../../src/model/address';
import type { ServiceKey } from '../../../src/model/cluster';
import type { Frontend, ServicePlan, ServicePortPlan } from '../../../src/planner/plan';
import { applyPlanChanges } from '../../../src/planner/plan-changes';
import { collidingNames } from '../../support/colliding-marks';
import { clusterIP, endpoint, everyKind, plan, service, servicePort } from '../../support/plans';
import { ipvsSettings } from '../../support/settings';

const hostAddresses = ['192.168.88.10', 'fd88::10'];

function rendered(services: readonly ServicePlan[], family: Family = 'IPv4', over = ipvsSettings): DesiredState {
  const state = new DesiredState(family, over);
  state.render(plan(family, services, { hostAddresses }));
  return state;
}

/** Everything that is desired, as sorted text. The mark of a port depends on who came first, so its name is the first VIP that gives it. */
function contents({ servers, addresses, sets, tables }: DesiredState): string[] {
  const additions = [...(sets.pendingWrites()?.additions ?? [])].sort();
  const names = new Map<string, string>();
  for (const [element, options] of additions) {
    const mark = parseMark(options)?.toString();
    if (mark !== undefined && !names.has(mark)) names.set(mark, element);
  }
  const nameOf = (mark: string): string => names.get(mark) ?? `nobody's ${mark}`;
  return [
    ...[...servers.desiredEntries()].map(
      ([server, text]) => `${server.replace(/^FWM (.*)/, (_, mark: string) => nameOf(mark))} ${text}`,
    ),
    ...[...addresses.desiredEntries()].map(([address]) => `kube-ipvs0 ${address}`),
    ...additions.map(([element, options]) => {
      const mark = parseMark(options)?.toString();
      const named = element.replace(/(-MARKS) (\d+)$/, (_, set: string, its: string) => `${set} ${nameOf(its)}`);
      return `${named} ${mark === undefined ? options : nameOf(mark)}`;
    }),
    ...Object.values(tables).flatMap((table) => [...table.desiredEntries()].map(([, lines]) => lines)),
  ].sort();
}

/** Without the node's addresses, which do not depend on the Services. */
function elements(state: DesiredState): string[] {
  return [...(state.sets.pendingWrites()?.additions ?? [])]
    .map((element) => element.join(' ').trimEnd())
    .filter((element) => !element.includes('IPVS-NODE-IPS '))
    .sort();
}

const loadBalancer = (address: string, over: Partial<Frontend> = {}): Frontend => ({
  ...clusterIP(address),
  kind: 'LoadBalancer',
  masquerade: 'always',
  ...over,
});
const localHere: Partial<Frontend> = {
  verdict: { kind: 'forward', endpoints: 'local' },
  masquerade: 'never',
  localSourcesToCluster: true,
};
const one = (name: string, frontends: readonly Frontend[], over: Partial<ServicePortPlan> = {}): ServicePlan =>
  service([servicePort(name, { frontends, clusterEndpoints: [endpoint('10.244.1.2')], ...over })]);

test.each(families)('%s: any changes end in what a render from nothing gives, in any order', (family) => {
  const shared = family === 'IPv4' ? '203.0.113.1' : '2001:db8:1::1';
  // Several Services want the same virtual server, for frontends of different kinds.
  const rivals = ['a', 'm', 'z'].map((name, i) =>
    one(name, [loadBalancer(shared, i === 1 ? {} : localHere)], { affinitySeconds: i * 60 }),
  );
  const crowded = collidingNames().map((name, i) => one(name, [loadBalancer(`${shared}${i}`, localHere)]));
  const kinds = [...everyKind(family), ...rivals, ...rivals, ...crowded, ...crowded];
  fc.assert(
    fc.property(fc.array(fc.array(fc.nat(kinds.length - 1), { maxLength: 12 }), { maxLength: 6 }), (rounds) => {
      const state = rendered([], family);
      const current = plan(family, [], { hostAddresses });
      for (const toggles of rounds) {
        const changes = new Map<ServiceKey, ServicePlan | undefined>();
        for (const kind of toggles.flatMap((at) => kinds[at] ?? []))
          changes.set(kind.key, current.services.has(kind.key) ? undefined : kind);
        applyPlanChanges(current, changes);
        state.renderChanges(current, changes);
      }
      const services = [...current.services.values()];
      expect(contents(state)).toEqual(contents(rendered(services, family)));
      expect(contents(state)).toEqual(contents(rendered(services.reverse(), family)));
    }),
    { numRuns: 50 },
  );
});

describe('two Services with one load-balancer IP', () => {
  const vip = 'TCP 203.0.113.1:80';
  const [first, second] = [
    one('first', [loadBalancer('203.0.113.1', localHere)], { localEndpoints: [endpoint('10.244.1.3')] }),
    one('second', [loadBalancer('203.0.113.1')]),
  ];

  test('the first by name has it, with everything that belongs to it', () => {
    const state = rendered([second, first]);
    expect(state.servers.getDesired(vip)).toBe('-s rr\n10.244.1.3:8080 1');
    expect(elements(state)).toContain('KUBE-LOAD-BALANCER-LOCAL 203.0.113.1,tcp:80');
  });

  test('and leaves it to the other, whose clients are masqueraded', () => {
    const state = rendered([first, second]);
    const current = plan('IPv4', [second], { hostAddresses });
    state.renderChanges(current, new Map([[first.key, undefined]]));
    expect(state.servers.getDesired(vip)).toBe('-s rr\n10.244.1.2:8080 1');
    expect([...state.addresses.desiredEntries()]).toEqual([['203.0.113.1', 'bound']]);
    expect(elements(state)).toEqual(['KUBE-IPVS-IPS 203.0.113.1', 'KUBE-LOAD-BALANCER 203.0.113.1,tcp:80']);
  });

  test('on different ports each has its own, and the address is bound until the last one is removed', () => {
    const other = one('other', [{ ...loadBalancer('203.0.113.1'), port: 443 }]);
    const state = rendered([second, other]);
    expect([...state.servers.desiredEntries()].map(([server]) => server)).toEqual(['TCP 203.0.113.1:443', vip]);
    state.renderChanges(plan('IPv4', [other]), new Map([[second.key, undefined]]));
    expect([...state.addresses.desiredEntries()]).toEqual([['203.0.113.1', 'bound']]);
    state.renderChanges(plan('IPv4', []), new Map([[other.key, undefined]]));
    expect([...state.addresses.desiredEntries()]).toEqual([]);
  });
});

test('an external IP that is the node’s own is served and not bound', () => {
  const state = rendered([one('web', [{ ...loadBalancer('192.168.88.10'), kind: 'ExternalIP' }])]);
  expect([...state.servers.desiredEntries()].map(([server]) => server)).toEqual(['TCP 192.168.88.10:80']);
  expect([...state.addresses.desiredEntries()]).toEqual([]);
  expect(elements(state)).toEqual(['KUBE-EXTERNAL-IP 192.168.88.10,tcp:80']);
});

test('where no endpoint on this node may serve, new connections are dropped, and the sign that vipwire is at work is there', () => {
  const dropping = loadBalancer('203.0.113.1', { ...localHere, verdict: { kind: 'drop', why: 'no local endpoints' } });
  const state = rendered([one('a', [dropping])]);
  expect(elements(state)).toEqual(
    expect.arrayContaining(['KUBE-IPVS-DROP 203.0.113.1,tcp:80', 'KUBE-LOOP-BACK 203.0.113.1,tcp:80,203.0.113.1']),
  );
  // The connections of the Service go on.
  expect(state.servers.getDesired('TCP 203.0.113.1:80')).toBe('-s rr');
});

describe('external addresses that Nodes may have', () => {
  const services = [
    one('a', [clusterIP('10.96.0.10'), loadBalancer('203.0.113.1')]),
    one('b', [clusterIP('10.96.0.11'), { ...loadBalancer('192.168.88.11'), kind: 'ExternalIP' }]),
  ];
  const bound = (state: DesiredState): string[] =>
    [...state.addresses.desiredEntries()].map(([address]) => address).sort();
  const inSet = (state: DesiredState): string[] =>
    elements(state).flatMap((element) => /^KUBE-IPVS-IPS (.*)/.exec(element)?.[1] ?? []);
  const ofNode = (address: string): AddressJudgement => (address === '192.168.88.11' ? 'of a Node' : 'free');

  test('an address that a Node has is served and not bound, whenever that becomes known', () => {
    const state = rendered(services);
    expect(bound(state)).toContain('192.168.88.11');
    state.judgeAddresses(ofNode);
    expect(bound(state)).toEqual(['10.96.0.10', '10.96.0.11', '203.0.113.1']);
    expect(inSet(state)).toEqual(bound(state));
    expect(state.servers.getDesired('TCP 192.168.88.11:80')).toBe('-s rr\n10.244.1.2:8080 1');
    state.render(plan('IPv4', services, { hostAddresses }));
    expect(bound(state)).toEqual(['10.96.0.10', '10.96.0.11', '203.0.113.1']);
    state.judgeAddresses(() => 'free');
    expect(bound(state)).toContain('192.168.88.11');
  });

  test('while that is unknown, bound addresses stay, new ones wait, and cluster IPs are bound', () => {
    const state = rendered([]);
    state.judgeAddresses(() => 'unknown');
    state.addresses.replaceObserved(new Map([['203.0.113.1', 'bound']]));
    state.render(plan('IPv4', services, { hostAddresses }));
    expect(bound(state)).toEqual(['10.96.0.10', '10.96.0.11', '203.0.113.1']);
    expect(inSet(state)).toEqual(bound(state));
    state.judgeAddresses(ofNode);
    expect(bound(state)).toEqual(['10.96.0.10', '10.96.0.11', '203.0.113.1']);
  });
});

test('an address that cannot be a VIP is left out, and the rest of its Service works', () => {
  const state = rendered([
    one(
      'web',
      ['10.96.0.10', '127.0.0.1', '0.0.0.0', '224.0.0.1'].map((address) => loadBalancer(address)),
    ),
  ]);
  expect([...state.servers.desiredEntries()].map(([server]) => server)).toEqual(['TCP 10.96.0.10:80']);
});

describe('clients on this node, under externalTrafficPolicy Local', () => {
  const web = (over: Partial<ServicePortPlan> = {}): ServicePlan =>
    one('web', [loadBalancer('203.0.113.1', localHere)], over);
  const markServer = (state: DesiredState): string | undefined =>
    [...state.servers.desiredEntries()].find(([server]) => server.startsWith('FWM '))?.[1];

  test('have a virtual server with the endpoints of the whole cluster, by the mark that their set gives', () => {
    const state = rendered([web({ localEndpoints: [endpoint('10.244.1.3')] })]);
    const mark = elements(state).find((element) => element.startsWith('KUBE-IPVS-LOCAL '));
    const [, number = ''] = /^KUBE-IPVS-LOCAL 203\.0\.113\.1,tcp:80 skbmark 0x([\da-f]+)$/.exec(mark ?? '') ?? [];
    expect(state.servers.getDesired(`FWM ${parseInt(number, 16)}`)).toBe('-s rr\n10.244.1.2:8080 1');
  });

  test('stay with an endpoint by the hash of their address, where others have persistence', () => {
    const state = rendered([web({ affinitySeconds: 600 })]);
    expect(state.servers.getDesired('TCP 203.0.113.1:80')).toBe('-s rr -p 600');
    expect(markServer(state)).toBe('-s sh -b sh-fallback\n10.244.1.2:8080 1');
  });

  test('reach what clients outside reach if the kernel’s sets give no marks', () => {
    const state = rendered([web()], 'IPv4', { ...ipvsSettings, hasSetMarks: false });
    expect(markServer(state)).toBeUndefined();
    expect(elements(state).filter((element) => /^KUBE-(IPVS-LOCAL|LOOP-BACK) /.test(element))).toEqual([]);
    const rules = [...state.tables.mangle.desiredEntries()].map(([, lines]) => lines).join('\n');
    expect(rules).not.toContain('--map-mark');
    expect(state.jumps.filter(({ table }) => table === 'mangle').map(({ from }) => from)).toEqual(['OUTPUT']);
  });
});

test('node ports answer on the configured addresses, and on no loopback address', () => {
  const port = one('web', [{ ...clusterIP('', 30080), kind: 'NodePort', masquerade: 'always' }]);
  const state = new DesiredState('IPv4', ipvsSettings);
  const addresses = ['127.0.0.1', '192.168.88.10', '192.168.89.10'];
  const some = { IPv4: { kind: 'some', addresses }, IPv6: { kind: 'all' } } as const;
  state.render(plan('IPv4', [port], { hostAddresses: ['192.168.99.1'], nodePortAddresses: some }));
  const servers = [...state.servers.desiredEntries()].map(([server]) => server);
  expect(servers).toEqual(['TCP 192.168.88.10:30080', 'TCP 192.168.89.10:30080']);
});
