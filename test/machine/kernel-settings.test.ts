import { planKernelSettings } from '../../src/machine/kernel-settings';
import { completeConfiguration } from '../../src/config/complete';
import { modes } from '../../src/modes/modes';
import type { Settings } from '../../src/config/fields';

/** `path>=value` for what may be higher, `path=value` else. */
function planned(settings: Settings, cpus = 4): string[] {
  const { configuration, problems } = completeConfiguration(settings);
  expect(problems).toEqual([]);
  return planKernelSettings(configuration, modes[configuration.mode], cpus).map(
    ({ path, value, isFloor }) => `${path.slice(path.lastIndexOf('/') + 1)}${isFloor ? '>=' : '='}${value}`,
  );
}

const nothing: Settings = {
  'conntrack.maxPerCore': 0,
  'conntrack.tcpEstablishedTimeout': 0,
  'conntrack.tcpCloseWaitTimeout': 0,
  'iptables.localhostNodePorts': false,
};

test("kube-proxy's defaults", () => {
  expect(planned({})).toEqual([
    'nf_conntrack_max>=131072',
    'hashsize>=32768',
    'nf_conntrack_tcp_timeout_established=86400',
    'nf_conntrack_tcp_timeout_close_wait=3600',
    'route_localnet>=1',
    'oom_score_adj=-999',
  ]);
});

test.each<[string, Settings, number, string[]]>([
  ['the CPUs count where they make more', {}, 5, ['nf_conntrack_max>=163840', 'hashsize>=40960']],
  ['a size that is cut off', {}, 33, ['nf_conntrack_max>=1048576', 'hashsize>=262144']],
  ['cut off at 1048576, not before', {}, 32, ['nf_conntrack_max>=1048576', 'hashsize>=262144']],
  // kubernetes 1.36 cuts off before it looks at min.
  ['also where min is more', { 'conntrack.min': 2_000_000 }, 33, ['nf_conntrack_max>=1048576', 'hashsize>=262144']],
  ['min alone may be more', { 'conntrack.min': 2_000_000 }, 4, ['nf_conntrack_max>=2000000', 'hashsize>=500000']],
  ['min does not count without maxPerCore', { 'conntrack.maxPerCore': 0, 'conntrack.min': 2_000_000 }, 4, []],
])('size of the connection tracker: %s', (_, settings, cpus, sizes) => {
  const found = planned(settings, cpus).filter((line) => /nf_conntrack_max|hashsize/.test(line));
  expect(found).toEqual(sizes);
});

test.each<[Settings, string]>([
  [{ 'conntrack.udpTimeout': 30_000 }, 'nf_conntrack_udp_timeout=30'],
  [{ 'conntrack.udpStreamTimeout': 120_900 }, 'nf_conntrack_udp_timeout_stream=120'],
  [{ 'conntrack.tcpEstablishedTimeout': 3_600_000 }, 'nf_conntrack_tcp_timeout_established=3600'],
  [{ 'conntrack.tcpCloseWaitTimeout': 60_000 }, 'nf_conntrack_tcp_timeout_close_wait=60'],
  [{ 'conntrack.tcpBeLiberal': true }, 'nf_conntrack_tcp_be_liberal>=1'],
  [{ 'iptables.localhostNodePorts': true }, 'route_localnet>=1'],
  [{ detectLocalMode: 'BridgeInterface', 'detectLocal.bridgeInterface': 'cni0' }, 'bridge-nf-call-iptables>=1'],
])('%j', (settings, line) => {
  expect(planned({ ...nothing, ...settings, oomScoreAdj: 0 })).toEqual([line, 'oom_score_adj=0']);
});

test.each<[Settings]>([
  [{ nodePortAddresses: ['primary'] }],
  [{ nodePortAddresses: ['192.168.0.0/16'] }],
  [{ mode: 'ipvs' }],
])('NodePorts that are not to answer on 127.0.0.1 need no route_localnet: %j', (settings) => {
  expect(planned({ ...settings }).join()).not.toContain('route_localnet');
});

test.each(['127.0.0.0/8', '127.0.0.1/32', '0.0.0.0/0', 'fd00::/8'])('with nodePortAddresses %s they do', (cidr) => {
  expect(planned({ nodePortAddresses: [cidr] }).join()).toContain('route_localnet>=1');
});
