import { completeConfiguration } from '../../src/config/complete';
import type { Settings } from '../../src/config/fields';
import { chooseNodeName } from '../../src/config/node-name';

const complete = (settings: Settings, fromFile = false) => {
  const { configuration, problems } = completeConfiguration(settings, { fromFile });
  expect(problems).toEqual([]);
  return configuration;
};

test("nothing set is kube-proxy's defaults", () => {
  expect(complete({})).toEqual({
    mode: 'iptables',
    kubeconfig: '',
    master: '',
    hostnameOverride: '',
    bindAddress: '0.0.0.0',
    healthzBindAddress: { address: '0.0.0.0', port: 10256 },
    metricsBindAddress: { address: '127.0.0.1', port: 10249 },
    bindAddressHardFail: false,
    masqueradeBit: 14,
    masqueradeAll: false,
    localhostNodePorts: true,
    syncPeriodMs: 30_000,
    minSyncPeriodMs: 1000,
    ipvs: {
      checkPeriodMs: 30_000,
      scheduler: 'rr',
      excludeCIDRs: [],
      strictARP: false,
      tcpTimeoutSeconds: 0,
      tcpFinTimeoutSeconds: 0,
      udpTimeoutSeconds: 0,
    },
    conntrack: {
      maxPerCore: 32_768,
      min: 131_072,
      tcpEstablishedTimeoutSeconds: 86_400,
      tcpCloseWaitTimeoutSeconds: 3600,
      tcpBeLiberal: false,
      udpTimeoutSeconds: 0,
      udpStreamTimeoutSeconds: 0,
    },
    oomScoreAdj: -999,
    enableProfiling: false,
    showHiddenMetrics: false,
    detectLocalMode: 'ClusterCIDR',
    clusterCIDRs: [],
    bridgeInterface: '',
    interfaceNamePrefix: '',
    nodePortAddresses: [],
    allowServiceExternalIPs: true,
    logging: { verbosity: 0, format: 'text' },
  });
});

describe('settings become internal units', () => {
  test.each<[string, Settings, object]>([
    ['a bare healthz address', { healthzBindAddress: '::1' }, { healthzBindAddress: { address: '::1', port: 10256 } }],
    ['an IPv6 address', { healthzBindAddress: '[::]:9' }, { healthzBindAddress: { address: '::', port: 9 } }],
    ['no healthz', { healthzBindAddress: '' }, { healthzBindAddress: undefined }],
    ['a bare metrics address', metrics('0.0.0.0'), { metricsBindAddress: { address: '0.0.0.0', port: 10249 } }],
    ['a metrics address', metrics('10.0.0.1:1'), { metricsBindAddress: { address: '10.0.0.1', port: 1 } }],
    [
      'an IPv6 bind address moves the others',
      { bindAddress: 'FD00:0::1' },
      {
        bindAddress: 'fd00::1',
        healthzBindAddress: { address: '::', port: 10256 },
        metricsBindAddress: { address: '::1', port: 10249 },
      },
    ],
    ['one cluster CIDR', { clusterCIDR: '10.244.1.0/16' }, { clusterCIDRs: ['10.244.0.0/16'] }],
    [
      'a cluster CIDR a family',
      { clusterCIDR: 'fd44::/16,10.244.0.0/16' },
      { clusterCIDRs: ['fd44::/16', '10.244.0.0/16'] },
    ],
    [
      'cluster CIDRs are not looked at in another mode',
      { detectLocalMode: 'NodeCIDR', clusterCIDR: 'x' },
      { detectLocalMode: 'NodeCIDR', clusterCIDRs: [] },
    ],
    [
      'a bridge',
      { detectLocalMode: 'BridgeInterface', 'detectLocal.bridgeInterface': 'cni0' },
      { detectLocalMode: 'BridgeInterface', bridgeInterface: 'cni0' },
    ],
    [
      'a prefix',
      { detectLocalMode: 'InterfaceNamePrefix', 'detectLocal.interfaceNamePrefix': 'veth' },
      { detectLocalMode: 'InterfaceNamePrefix', interfaceNamePrefix: 'veth' },
    ],
    ['node-port addresses', { nodePortAddresses: ['10.1.2.3/8'] }, { nodePortAddresses: ['10.0.0.0/8'] }],
    ['primary', { nodePortAddresses: ['primary'] }, { nodePortAddresses: ['primary'] }],
    [
      'words beside CIDRs',
      { nodePortAddresses: ['primary', 'localhost', '10.1.2.3/8', 'all'] },
      { nodePortAddresses: ['primary', 'localhost', '10.0.0.0/8', 'all'] },
    ],
    [
      'IPVS mode has periods of its own',
      { mode: 'ipvs', 'ipvs.syncPeriod': 9000, 'ipvs.minSyncPeriod': 0, 'iptables.syncPeriod': 8000 },
      { mode: 'ipvs', syncPeriodMs: 9000, minSyncPeriodMs: 0 },
    ],
    [
      "kube-proxy's mh has the port in its hash",
      { mode: 'ipvs', 'ipvs.scheduler': 'mh' },
      { ipvs: expect.objectContaining({ scheduler: 'mh,mh-port' }) as object },
    ],
    [
      'periods of a mode that is not in use are not looked at',
      { mode: 'ipvs', 'iptables.syncPeriod': -1, 'iptables.minSyncPeriod': -1 },
      { mode: 'ipvs' },
    ],
    ['what IPVS mode needs is not looked at in another', { 'ipvs.scheduler': 'best' }, { mode: 'iptables' }],
    ['external IPs off', { featureGates: { AllowServiceExternalIPs: false } }, { allowServiceExternalIPs: false }],
    ['bit 0', { 'iptables.masqueradeBit': 0 }, { masqueradeBit: 0 }],
    ['no pause between syncs', { 'iptables.minSyncPeriod': 0 }, { minSyncPeriodMs: 0 }],
  ])('%s', (_, settings, part) => {
    expect(complete(settings)).toMatchObject(part);
  });
});

test('by a file, IPVS mode has no pause between two syncs', () => {
  expect(complete({ mode: 'ipvs' }, true).minSyncPeriodMs).toBe(0);
  expect(complete({ mode: 'ipvs' }).minSyncPeriodMs).toBe(1000);
});

function metrics(metricsBindAddress: string): Settings {
  return { metricsBindAddress };
}

describe('a broken rule is one sentence that names the field', () => {
  test.each<[Settings, string]>([
    [{ mode: 'userspace' }, 'mode: kube-proxy removed userspace in 1.26: use iptables, ipvs or nftables'],
    [{ mode: 'IPTables' }, 'mode: there is no mode "IPTables": did you mean iptables?'],
    [{ mode: 'kernelspace' }, 'mode: there is no mode "kernelspace": use iptables, ipvs or nftables'],
    [{ bindAddress: 'node-1' }, 'bindAddress: "node-1" is not an IP address'],
    [
      { healthzBindAddress: 'localhost:10256' },
      'healthzBindAddress: "localhost:10256" is not an IP address with a port, such as 0.0.0.0:10256 or [::]:10256',
    ],
    [{ healthzBindAddress: '0.0.0.0:0' }, 'healthzBindAddress: "0" is not a port: use a number from 1 to 65535'],
    [
      { healthzBindAddress: '0.0.0.0:65536' },
      'healthzBindAddress: "65536" is not a port: use a number from 1 to 65535',
    ],
    [metrics(''), 'metricsBindAddress: the metrics server cannot be turned off'],
    [{ 'iptables.masqueradeBit': 32 }, 'iptables.masqueradeBit: 32 is not between 0 and 31'],
    [{ 'iptables.masqueradeBit': -1 }, 'iptables.masqueradeBit: -1 is not between 0 and 31'],
    [{ 'iptables.syncPeriod': -1000 }, 'iptables.syncPeriod: -1s must be more than 0'],
    [{ 'iptables.minSyncPeriod': -1000 }, 'iptables.minSyncPeriod: -1s is negative'],
    [{ 'iptables.minSyncPeriod': 60_000 }, 'iptables.minSyncPeriod: 1m is more than iptables.syncPeriod, 30s'],
    [
      { mode: 'ipvs', 'ipvs.scheduler': 'best' },
      'ipvs.scheduler: there is no scheduler "best": use rr, wrr, lc, wlc, sh, dh, sed, nq, mh, lblc, lblcr, fo, ovf',
    ],
    [{ mode: 'ipvs', 'ipvs.excludeCIDRs': ['x'] }, 'ipvs.excludeCIDRs: "x" is not a CIDR such as 10.0.0.0/8'],
    [{ mode: 'ipvs', 'ipvs.syncPeriod': 0 }, 'ipvs.syncPeriod: 0s must be more than 0'],
    [{ mode: 'ipvs', 'ipvs.minSyncPeriod': 60_000 }, 'ipvs.minSyncPeriod: 1m is more than ipvs.syncPeriod, 30s'],
    [{ mode: 'ipvs', 'ipvs.udpTimeout': -1000 }, 'ipvs.udpTimeout: -1s is negative'],
    [{ configSyncPeriod: -1 }, 'configSyncPeriod: -1ms must be more than 0'],
    [{ oomScoreAdj: -1001 }, 'oomScoreAdj: -1001 is not between -1000 and 1000'],
    [{ 'clientConnection.burst': -1 }, 'clientConnection.burst: -1 is negative'],
    [
      { showHiddenMetricsForVersion: '1.36' },
      'showHiddenMetricsForVersion: "1.36" is not 1.35, the only release that is accepted',
    ],
    [{ 'conntrack.min': -1 }, 'conntrack.min: -1 is negative'],
    [{ 'conntrack.udpTimeout': -1000 }, 'conntrack.udpTimeout: -1s is negative'],
    [
      { detectLocalMode: 'Guess' },
      'detectLocalMode: there is no mode "Guess": use ClusterCIDR, NodeCIDR, BridgeInterface, InterfaceNamePrefix',
    ],
    [{ detectLocalMode: 'ClusterCidr' }, 'detectLocalMode: there is no mode "ClusterCidr": did you mean ClusterCIDR?'],
    [{ hostnameOverride: '  ' }, 'hostnameOverride: the name is blank'],
    [
      { 'logging.options.text.splitStream': true },
      'logging.options.text.splitStream: is an alpha option: it needs the feature gate LoggingAlphaOptions=true',
    ],
    [
      { detectLocalMode: 'BridgeInterface' },
      'detectLocal.bridgeInterface: is needed with detectLocalMode BridgeInterface',
    ],
    [
      { detectLocalMode: 'InterfaceNamePrefix' },
      'detectLocal.interfaceNamePrefix: is needed with detectLocalMode InterfaceNamePrefix',
    ],
    [{ clusterCIDR: '10.1.0.0/16, fd00::/48' }, 'clusterCIDR: " fd00::/48" is not a CIDR such as 10.244.0.0/16'],
    [{ clusterCIDR: ' ' }, 'clusterCIDR: " " is not a CIDR such as 10.244.0.0/16'],
    [{ clusterCIDR: '10.0.0.0/8,' }, 'clusterCIDR: "" is not a CIDR such as 10.244.0.0/16'],
    [
      { nodePortAddresses: [' 10.0.0.0/8'] },
      'nodePortAddresses: " 10.0.0.0/8" is neither a CIDR such as 10.0.0.0/8 nor one of primary, localhost, all',
    ],
    [
      { detectLocalMode: 'BridgeInterface', 'detectLocal.bridgeInterface': 'cni0 -j ACCEPT' },
      'detectLocal.bridgeInterface: "cni0 -j ACCEPT" is not an interface name',
    ],
    [{ 'detectLocal.bridgeInterface': '!cni0' }, 'detectLocal.bridgeInterface: "!cni0" is not an interface name'],
    [
      { 'detectLocal.bridgeInterface': 'a234567890123456' },
      'detectLocal.bridgeInterface: "a234567890123456" has more than 15 characters',
    ],
    [
      { 'detectLocal.interfaceNamePrefix': 'a23456789012345' },
      'detectLocal.interfaceNamePrefix: "a23456789012345" has more than 14 characters',
    ],
    [
      { 'detectLocal.interfaceNamePrefix': 'cali+' },
      'detectLocal.interfaceNamePrefix: "cali+" ends in +: leave it out, vipwire adds it',
    ],
    [
      { 'detectLocal.interfaceNamePrefix': '-veth' },
      'detectLocal.interfaceNamePrefix: "-veth" is not the beginning of an interface name',
    ],
    [{ hostnameOverride: 'a\nb' }, 'hostnameOverride: "a\\nb" has a line break or another control character'],
    [
      { 'clientConnection.kubeconfig': '/k\u0000' },
      'clientConnection.kubeconfig: "/k\\u0000" has a line break or another control character',
    ],
    [{ clusterCIDR: '10.0.0.1' }, 'clusterCIDR: "10.0.0.1" is not a CIDR such as 10.244.0.0/16'],
    [
      { clusterCIDR: '10.0.0.0/8,11.0.0.0/8' },
      'clusterCIDR: "10.0.0.0/8,11.0.0.0/8" has more than one CIDR of the same family',
    ],
    [
      { clusterCIDR: '10.0.0.0/8,fd00::/8,11.0.0.0/8' },
      'clusterCIDR: "10.0.0.0/8,fd00::/8,11.0.0.0/8" has more than one CIDR of the same family',
    ],
    [
      { nodePortAddresses: ['primary', '10.0.0.1'] },
      'nodePortAddresses: "10.0.0.1" is neither a CIDR such as 10.0.0.0/8 nor one of primary, localhost, all',
    ],
    [{ featureGates: { NFTablesProxyMode: false } }, 'featureGates: NFTablesProxyMode is locked to true'],
    [{ 'logging.format': 'xml' }, 'logging.format: "xml" is neither text nor json'],
    [{ 'logging.verbosity': -1 }, 'logging.verbosity: -1 is negative'],
    [
      { 'logging.format': 'json', 'logging.vmodule': [{ filePattern: 'a', verbosity: 1 }] },
      'logging.vmodule: works only with the text format',
    ],
  ])('%j', (settings, problem) => {
    const { problems } = completeConfiguration(settings);
    expect(problems.map(({ path, what }) => `${path}: ${what}`)).toEqual([problem]);
  });

  test('and all of them are told', () => {
    const settings: Settings = { mode: 'userspace', bindAddress: 'x', oomScoreAdj: 2000 };
    expect(completeConfiguration(settings).problems).toHaveLength(3);
  });
});

test.each([
  ['', 'Host-1', 'host-1'],
  ['', 'host\n', 'host'],
  [' Node-A ', 'host', 'node-a'],
])('override %j on host %j is node %s', (override, host, name) => {
  expect(chooseNodeName(override, host)).toBe(name);
});

test.each([
  ['  ', 'host'],
  ['', ''],
])('override %j on host %j is refused', (override, host) => {
  expect(() => chooseNodeName(override, host)).toThrow('this node has no name: set --hostname-override');
});
