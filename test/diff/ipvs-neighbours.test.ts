import { DesiredState } from '../../src/backends/ipvs/desired-state';
import { IpvsNeighbours } from '../../src/diff/ipvs-neighbours';
import type { Frontend } from '../../src/planner/plan';
import { clusterIP, endpoint, plan as planOf, service, servicePort } from '../support/plans';
import { ipvsSettings } from '../support/settings';

const pods = [endpoint('10.244.1.2', 8080, true), endpoint('10.244.2.2')];
const external = (kind: Frontend['kind'], address: string, port: number): Frontend => ({
  ...clusterIP(address, port),
  kind,
  masquerade: 'always',
});
const web = service([
  servicePort('web', {
    frontends: [
      clusterIP('10.96.0.10'),
      external('ExternalIP', '203.0.113.1', 80),
      external('LoadBalancer', '203.0.113.2', 80),
      external('NodePort', '', 30080),
    ],
    clusterEndpoints: pods,
  }),
]);
const heavy = service([
  servicePort('heavy', {
    frontends: [clusterIP('10.96.0.11')],
    clusterEndpoints: pods.map((pod) => ({ ...pod, weight: 5 })),
  }),
]);
const plan = planOf('IPv4', [web, heavy], { hostAddresses: ['192.168.88.10'] });
const vip = 'TCP 10.96.0.10:80';
const lb = 'TCP 203.0.113.2:80';

/** A kernel that has what it should have, until the test changes it. */
function written(): DesiredState {
  const state = new DesiredState('IPv4', ipvsSettings);
  state.render(plan);
  state.servers.replaceObserved(new Map(state.servers.desiredEntries()));
  const writes = state.sets.pendingWrites();
  if (writes !== undefined) state.sets.setApplied(writes);
  return state;
}

function seen(state: DesiredState, server: string): string {
  const text = state.servers.getObserved(server);
  if (text === undefined) throw new Error(`there is no ${server}`);
  return text;
}

function removeElement(state: DesiredState, ...elements: readonly string[]): void {
  const nothing = { creates: [], deletionsFirst: [], additions: new Map(), destroys: [] };
  state.sets.setApplied({ ...nothing, deletions: elements });
}

test('whose a virtual server, an address and an entry are', () => {
  const neighbours = new IpvsNeighbours(plan, written());
  const servers = [vip, 'TCP 192.168.88.10:30080', 'UDP 10.96.0.10:80', 'TCP 10.96.0.99:80', 'FWM 7'];
  expect(servers.map((server) => neighbours.serviceOfServer(server))).toEqual([
    'default/web',
    'default/web',
    '',
    '',
    '',
  ]);
  const addresses = ['10.96.0.11', '192.168.88.10'];
  expect(addresses.map((address) => neighbours.serviceOfAddress(address))).toEqual(['default/heavy', '']);
  const elements = [
    'KUBE-CLUSTER-IP 10.96.0.11,tcp:80',
    'KUBE-NODE-PORT-TCP 30080',
    'KUBE-NODE-PORT-UDP 30080',
    'KUBE-IPVS-IPS 10.96.0.10',
    'KUBE-LOOP-BACK 10.244.1.2,tcp:8080,10.244.1.2',
  ];
  expect(elements.map((element) => neighbours.serviceOfElement(element))).toEqual([
    'default/heavy',
    'default/web',
    '',
    'default/web',
    '',
  ]);
});

test.each([
  ['a', 'b'],
  ['b', 'a'],
])('the smallest key has a frontend that several Services claim: %s before %s', (...names) => {
  const rivals = names.map((name) =>
    service([servicePort(name, { frontends: [clusterIP('10.96.0.10')], clusterEndpoints: pods })]),
  );
  const rivalPlan = planOf('IPv4', rivals);
  const neighbours = new IpvsNeighbours(rivalPlan, new DesiredState('IPv4', ipvsSettings));
  expect(neighbours.serviceOfServer(vip)).toBe('default/a');
  expect(neighbours.serviceOfAddress('10.96.0.10')).toBe('default/a');
});

test('nobody is suspected where everything is as it was written', () => {
  const state = written();
  const neighbours = new IpvsNeighbours(plan, state);
  const servers = [...state.servers.observedEntries()];
  expect(servers.map(([server]) => server)).toEqual(expect.arrayContaining([vip, lb]));
  expect(servers.map(([server, text]) => neighbours.suspectServer(server, text))).toEqual(servers.map(() => undefined));
});

test('a virtual server that the sets have was removed, and one that they have not was added', () => {
  const state = written();
  state.servers.setObserved(vip, undefined);
  const neighbours = new IpvsNeighbours(plan, state);
  expect(neighbours.suspectServer(vip, undefined)).toBe(`${vip} was removed: the sets have it`);
  const other = 'TCP 10.96.0.99:80';
  expect(neighbours.suspectServer(other, undefined)).toBeUndefined();
  expect(neighbours.suspectServer(other, seen(state, lb))).toBe(`${other} was added: no set has it`);
});

test.each([
  ['KUBE-CLUSTER-IP', '10.96.0.10,tcp:80'],
  ['KUBE-NODE-PORT-TCP', '30080'],
])('%s %s: removed if its virtual server is there, added if it is not', (set, entry) => {
  const element = `${set} ${entry}`;
  const state = written();
  removeElement(state, element);
  const withServer = new IpvsNeighbours(plan, state);
  expect(withServer.suspectElement('+', element)).toBe(`${entry} was removed from ${set}: its virtual server is there`);
  expect(withServer.suspectElement('-', element)).toBeUndefined();
  for (const [server] of [...state.servers.observedEntries()]) state.servers.setObserved(server, undefined);
  const withoutServers = new IpvsNeighbours(plan, state);
  expect(withoutServers.suspectElement('+', element)).toBeUndefined();
  expect(withoutServers.suspectElement('-', element)).toBe(`${entry} was added to ${set}: no virtual server has it`);
});

test('entries of sets that say nothing about frontends are never suspected', () => {
  const neighbours = new IpvsNeighbours(plan, written());
  expect(neighbours.suspectElement('-', 'KUBE-LOOP-BACK 10.244.9.9,tcp:80,10.244.9.9')).toBeUndefined();
});

test('a weight that no endpoint has, unless the Service has weights of its own', () => {
  const state = written();
  const neighbours = new IpvsNeighbours(plan, state);
  const withWeight = (server: string): string => seen(state, server).replace(/ \d+$/, ' 3');
  expect(neighbours.suspectServer(vip, withWeight(vip))).toBe(
    `${vip}: 10.244.2.2:8080 has the weight 3, although no endpoint of the Service has one`,
  );
  const weighted = 'TCP 10.96.0.11:80';
  expect(neighbours.suspectServer(weighted, withWeight(weighted))).toBeUndefined();
});

test('external virtual servers of a port have the same endpoints', () => {
  const state = written();
  const without = seen(state, lb).split('\n').slice(0, -1).join('\n');
  state.servers.setObserved(lb, without);
  const neighbours = new IpvsNeighbours(plan, state);
  expect(neighbours.suspectServer(lb, without)).toMatch(/^TCP 203\.0\.113\.2:80 differs from TCP .*the same policy$/);
  // A cluster IP may have others.
  expect(neighbours.suspectServer(vip, seen(state, vip).split('\n').slice(0, -1).join('\n'))).toBeUndefined();
});
