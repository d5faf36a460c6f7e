import type { Node } from '../../src/model/cluster';
import type { NodeConfig } from '../../src/planner/node-settings';
import { planNodeSettings } from '../../src/planner/node-settings';
import type { NodeSettings } from '../../src/planner/plan';
import { makeNode } from '../support/cluster-objects';

const defaults: NodeConfig = {
  hostname: 'node',
  detectLocalMode: 'ClusterCIDR',
  clusterCIDRs: ['10.244.0.0/16', 'fd44::/32'],
  bridgeInterface: '',
  interfaceNamePrefix: '',
  nodePortAddresses: [],
  masqueradeAll: false,
  localhostNodePorts: true,
  allowServiceExternalIPs: true,
  bindAddress: '0.0.0.0',
};
const node = makeNode({
  addresses: ['192.168.88.10', 'fd88::10', '203.0.113.9'],
  zone: 'z1',
  podCIDRs: ['10.244.1.0/24', 'fd44:1::/64'],
});
const hostAddresses = ['127.0.0.1', '::1', '192.168.88.10', '10.244.1.1', 'fd88::10', 'fe80::1', '192.168.88.10'];

function settle(config: Partial<NodeConfig>, of: Node | undefined = node): { settings: NodeSettings; kinds: string[] } {
  const { settings, warnings } = planNodeSettings({ ...defaults, ...config }, of, hostAddresses);
  return { settings, kinds: warnings.map(({ kind }) => kind) };
}

test('name, zone and IPs', () => {
  expect(settle({ hostname: ' Node ' }).settings).toMatchObject({
    nodeName: 'node',
    zone: 'z1',
    nodeIPs: { IPv4: '192.168.88.10', IPv6: 'fd88::10' },
    masqueradeAll: false,
    localhostNodePorts: true,
    allowServiceExternalIPs: true,
  });
  const { settings } = planNodeSettings(defaults, undefined, hostAddresses);
  expect(settings).toMatchObject({ nodeName: 'node', zone: '', nodeIPs: {} });
});

test.each([
  ['192.168.88.99', { IPv4: '192.168.88.99', IPv6: 'fd88::10' }],
  ['fd88:0::99', { IPv4: '192.168.88.10', IPv6: 'fd88::99' }],
  ['::', { IPv4: '192.168.88.10', IPv6: 'fd88::10' }],
  ['', { IPv4: '192.168.88.10', IPv6: 'fd88::10' }],
])('bindAddress "%s" stands in for the IP of its family', (bindAddress, nodeIPs) => {
  expect(settle({ bindAddress }).settings.nodeIPs).toEqual(nodeIPs);
});

describe('local detector', () => {
  const none = { kind: 'none' };
  const cidr = (text: string): object => ({ kind: 'cidr', cidr: text });
  test.each<[string, Partial<NodeConfig>, Node | undefined, object, object, string[]]>([
    ['cluster CIDRs', {}, node, cidr('10.244.0.0/16'), cidr('fd44::/32'), []],
    [
      'the first of a family',
      { clusterCIDRs: ['10.1.2.3/8', '10.2.0.0/16'] },
      makeNode(),
      cidr('10.0.0.0/8'),
      none,
      [],
    ],
    [
      'a family without one, on a node of both',
      { clusterCIDRs: ['fd44::/32'] },
      node,
      none,
      cidr('fd44::/32'),
      ['no-local-cidr'],
    ],
    ['no cluster CIDR', { clusterCIDRs: [] }, node, none, none, ['no-local-cidr']],
    ['a bad one', { clusterCIDRs: ['10.244.0.0/16', 'fd44::'] }, makeNode(), cidr('10.244.0.0/16'), none, ['bad-cidr']],
    ['node CIDRs', { detectLocalMode: 'NodeCIDR' }, node, cidr('10.244.1.0/24'), cidr('fd44:1::/64'), []],
    ['no node CIDRs', { detectLocalMode: 'NodeCIDR' }, makeNode(), none, none, ['no-local-cidr']],
    [
      'bridge',
      { detectLocalMode: 'BridgeInterface', bridgeInterface: 'cni0' },
      node,
      { kind: 'interface', name: 'cni0' },
      { kind: 'interface', name: 'cni0' },
      [],
    ],
    [
      'prefix',
      { detectLocalMode: 'InterfaceNamePrefix', interfaceNamePrefix: 'veth' },
      node,
      { kind: 'interface-prefix', prefix: 'veth' },
      { kind: 'interface-prefix', prefix: 'veth' },
      [],
    ],
  ])('%s', (_what, config, of, IPv4, IPv6, kinds) => {
    const settled = settle(config, of);
    expect(settled.settings.localDetector).toEqual({ IPv4, IPv6 });
    expect(settled.kinds).toEqual(kinds);
  });
});

describe('node-port addresses', () => {
  const all = { kind: 'all' };
  const some = (...addresses: string[]): object => ({ kind: 'some', addresses });
  const offAndOn = ['localhost-node-ports-off'];
  test.each<[string, string[], object, object, boolean, string[]]>([
    ['unset', [], all, all, true, []],
    ['one family listed', ['192.168.88.0/24'], some('192.168.88.10'), all, false, offAndOn],
    ['the other family listed', ['fd88::/64'], all, some('fd88::10'), true, []],
    [
      'several, without repeats, sorted',
      ['192.168.0.0/16', '10.0.0.0/8'],
      some('10.244.1.1', '192.168.88.10'),
      all,
      false,
      offAndOn,
    ],
    ['a /0 beside others', ['192.168.88.0/24', '0.0.0.0/0'], all, all, true, []],
    ['loopback too', ['127.0.0.0/8', '192.168.88.0/24'], some('127.0.0.1', '192.168.88.10'), all, true, []],
    ['one loopback address', ['127.0.0.1/32'], some('127.0.0.1'), all, true, []],
    ['IPv6 loopback', ['::1/128', 'fd88::/64'], all, some('fd88::10'), true, ['loopback-node-port-address']],
    ['nothing here matches', ['172.16.0.0/12'], some(), all, false, [...offAndOn, 'no-node-port-address']],
    ['primary', ['primary'], some('192.168.88.10'), some('fd88::10'), false, offAndOn],
  ])('%s', (_what, nodePortAddresses, IPv4, IPv6, localhostNodePorts, kinds) => {
    const settled = settle({ nodePortAddresses });
    expect(settled.settings.nodePortAddresses).toEqual({ IPv4, IPv6 });
    expect(settled.settings.localhostNodePorts).toBe(localhostNodePorts);
    expect(settled.kinds).toEqual(kinds);
  });

  test('primary of a family that the node has no IP of is all of it', () => {
    const ofIPv4 = makeNode({ addresses: ['192.168.88.10'] });
    expect(settle({ nodePortAddresses: ['primary'] }, ofIPv4).settings.nodePortAddresses).toEqual({
      IPv4: some('192.168.88.10'),
      IPv6: all,
    });
    expect(settle({ nodePortAddresses: ['primary'] }, makeNode()).settings.nodePortAddresses).toEqual({
      IPv4: all,
      IPv6: all,
    });
  });

  test('loopback addresses are left out where localhostNodePorts is off', () => {
    const settled = settle({ nodePortAddresses: ['127.0.0.0/8', '10.0.0.0/8'], localhostNodePorts: false });
    expect(settled.settings.nodePortAddresses.IPv4).toEqual(some('10.244.1.1'));
    expect(settled.kinds).toEqual(['loopback-node-port-address']);
  });
});
