import { explainMiss, findFrontend } from '../../src/explain/frontends';
import type { Target } from '../../src/explain/question';
import type { Family } from '../../src/model/address';
import { ClusterStore } from '../../src/model/cluster-store';
import type { NodeSettings } from '../../src/planner/plan';
import { parseManifests } from '../../src/sources/manifests/parse-manifests';
import { service as serviceObject, slice } from '../conformance/objects';
import { clusterIP, plan, service, servicePort } from '../support/plans';

const nodeAddresses = ['192.168.88.10', 'fd88::10'];
const nodePort = { ...clusterIP('', 30080), kind: 'NodePort' } as const;
const services = [
  service([servicePort('web', { frontends: [clusterIP('10.96.0.10'), clusterIP('fd96::10'), nodePort] })]),
  service([servicePort('dns', { protocol: 'UDP', frontends: [clusterIP('10.96.0.11', 53), nodePort] })]),
  service([servicePort('also', { frontends: [clusterIP('203.0.113.1')] })]),
  service([servicePort('both', { frontends: [clusterIP('203.0.113.1')] })]),
];
const onlyOne = {
  IPv4: { kind: 'some', addresses: ['192.168.88.10'] },
  IPv6: { kind: 'some', addresses: [] },
} as const;
const listens = { localhostNodePortsIPv6: true } as const;

function target(text: string): Target & { readonly family: Family } {
  const [, address = '', port, protocol] = /^(.+) (\d+) (TCP|UDP|SCTP)$/.exec(text) ?? [];
  const family = address.includes(':') ? 'IPv6' : 'IPv4';
  return { address, port: Number(port), protocol: protocol === 'UDP' ? 'UDP' : 'TCP', family };
}

test.each<[to: string, over: Partial<NodeSettings>, owner: string | undefined]>([
  ['10.96.0.10 80 TCP', {}, 'web'],
  ['10.96.0.10 80 UDP', {}, undefined],
  ['10.96.0.10 81 TCP', {}, undefined],
  ['10.96.0.11 53 UDP', {}, 'dns'],
  // Both claim it: the first one by name has it.
  ['203.0.113.1 80 TCP', {}, 'also'],
  ['192.168.88.10 30080 TCP', {}, 'web'],
  ['192.168.88.10 30080 UDP', {}, 'dns'],
  ['192.168.88.11 30080 TCP', {}, undefined],
  ['192.168.88.10 30080 TCP', { nodePortAddresses: onlyOne }, 'web'],
  ['fd88::10 30080 TCP', { nodePortAddresses: onlyOne }, undefined],
  ['127.0.0.1 30080 TCP', {}, 'web'],
  ['127.0.0.1 30080 TCP', { localhostNodePorts: false }, undefined],
  ['127.0.0.1 30080 TCP', { localhostNodePorts: false, ...listens }, undefined],
  ['::1 30080 TCP', {}, undefined],
  ['::1 30080 TCP', listens, 'web'],
  ['::1 30080 UDP', listens, undefined],
  ['::1 30081 TCP', listens, undefined],
])('%s with %j: %s', (to, over, owner) => {
  const { family, ...asked } = target(to);
  expect(findFrontend(plan(family, services, over), asked, nodeAddresses)?.port.name).toBe(owner);
});

const cluster = new ClusterStore(0);
const objects = [serviceObject(), slice(['a'])];
const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
cluster.apply(parseManifests(list, 'cluster').objects.flatMap(({ sets }) => sets));

test.each<[to: string, over: Partial<NodeSettings>, why: readonly string[]]>([
  ['10.96.0.10 81 TCP', {}, ['10.96.0.10 is ClusterIP of default/web, which has no port 81/tcp: it has 80/tcp']],
  [
    '127.0.0.1 30080 TCP',
    { localhostNodePorts: false },
    ['NodePort 30080 of default/web does not answer on loopback (iptables.localhostNodePorts)'],
  ],
  ['::1 30080 TCP', {}, ['NodePort 30080 of default/web does not answer on loopback in IPv6']],
  [
    '::1 30080 UDP',
    listens,
    ['NodePort 30080 of default/dns does not answer on ::1: only TCP is served there, not UDP'],
  ],
  [
    '192.168.88.10 30080 TCP',
    { nodePortAddresses: { ...onlyOne, IPv4: { kind: 'some', addresses: ['192.168.99.1'] } } },
    ['NodePort 30080 of default/web does not answer on 192.168.88.10: nodePortAddresses allows 192.168.99.1'],
  ],
  [
    '192.168.88.11 30080 TCP',
    {},
    ["NodePort 30080 of default/web answers on this node's addresses: 192.168.88.10:30080, [fd88::10]:30080"],
  ],
  [
    '10.244.1.2 8080 TCP',
    {},
    ['10.244.1.2 is default/a itself, behind Service default/web: no service proxy is involved'],
  ],
  ['198.51.100.1 80 TCP', {}, []],
])('why nothing answers at %s with %j', (to, over, why) => {
  const { family, ...asked } = target(to);
  expect(explainMiss(plan(family, services, over), cluster, asked, nodeAddresses)).toEqual(why);
});
