import type { Node } from '../../src/model/cluster';
import { answersOnLocalhost } from '../../src/planner/node-port-addresses';
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
    ['primary', ['primary'], some('192.168.88.10'), some('fd88::10'), false, []],
    [
      'primary and more',
      ['primary', '10.0.0.0/8'],
      some('10.244.1.1', '192.168.88.10'),
      some('fd88::10'),
      false,
      offAndOn,
    ],
    [
      'primary and localhost',
      ['primary', 'localhost'],
      some('127.0.0.1', '192.168.88.10'),
      some('fd88::10'),
      true,
      ['loopback-node-port-address'],
    ],
    [
      'localhost',
      ['localhost'],
      some('127.0.0.1'),
      some(),
      true,
      ['loopback-node-port-address', 'no-node-port-address'],
    ],
    ['all', ['all'], all, all, true, []],
    ['all and others', ['primary', 'all', '10.0.0.0/8'], all, all, true, []],
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

  describe('a mode with a listener on ::1', () => {
    test.each<[string, string[], boolean | undefined, string[]]>([
      ['serves it where the list names it', ['primary', 'localhost'], true, []],
      ['also beside everything else', ['all', '::1/128'], true, []],
      ['and alone', ['127.0.0.1/32', '::1/128'], true, []],
      ['not because a /0 includes it', ['all'], undefined, []],
      ['not where only IPv4 is named', ['primary', '127.0.0.0/8'], undefined, []],
      ['nor without a list', [], undefined, []],
    ])('%s', (_what, nodePortAddresses, localhostNodePortsIPv6, kinds) => {
      const settled = settle({ nodePortAddresses, listensOnIPv6Loopback: true });
      expect(settled.settings.localhostNodePortsIPv6).toBe(localhostNodePortsIPv6);
      expect(settled.kinds).toEqual(kinds);
      const { IPv6 } = settled.settings.nodePortAddresses;
      expect(IPv6.kind === 'all' ? [] : IPv6.addresses).not.toContain('::1');
    });

    test('does not use it where localhostNodePorts is off', () => {
      const nodePortAddresses = ['primary', 'localhost'];
      const settled = settle({ nodePortAddresses, listensOnIPv6Loopback: true, localhostNodePorts: false });
      expect(settled.settings).not.toHaveProperty('localhostNodePortsIPv6');
      expect(settled.kinds).toEqual(['loopback-node-port-address', 'loopback-node-port-address']);
    });
  });

  test('on a node of one family, no warning is about the other', () => {
    const ofIPv4 = ['127.0.0.1', '192.168.88.10'];
    const { warnings } = planNodeSettings({ ...defaults, nodePortAddresses: ['primary', 'localhost'] }, node, ofIPv4);
    expect(warnings).toEqual([]);
  });

  test('what the kernel needs is known before the node is', () => {
    const lists: readonly (readonly [string[], boolean])[] = [
      [[], true],
      [['primary'], false],
      [['primary', 'localhost'], true],
      [['primary', 'fd88::/64'], false],
      [['fd88::/64'], true],
      [['all'], true],
      [['10.0.0.0/8', '127.0.0.1/32'], true],
    ];
    for (const [nodePortAddresses, answers] of lists) {
      expect(answersOnLocalhost({ nodePortAddresses, localhostNodePorts: true })).toBe(answers);
      expect(answersOnLocalhost({ nodePortAddresses, localhostNodePorts: false })).toBe(false);
    }
  });

  test('loopback addresses are left out where localhostNodePorts is off', () => {
    const settled = settle({ nodePortAddresses: ['127.0.0.0/8', '10.0.0.0/8'], localhostNodePorts: false });
    expect(settled.settings.nodePortAddresses.IPv4).toEqual(some('10.244.1.1'));
    expect(settled.kinds).toEqual(['loopback-node-port-address']);
  });
});

test('the CIDRs of Services are there in modes that read them', () => {
  expect(planNodeSettings(defaults, node, hostAddresses).settings).not.toHaveProperty('serviceCIDRs');
  expect(planNodeSettings(defaults, node, hostAddresses, ['10.96.0.0/16']).settings.serviceCIDRs).toEqual([
    '10.96.0.0/16',
  ]);
});
