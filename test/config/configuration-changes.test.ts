import { completeConfiguration } from '../../src/config/complete';
import { diffConfigurations, diffSettings, withoutRestart } from '../../src/config/configuration-changes';
import type { EffectiveConfiguration } from '../../src/config/effective';
import type { Settings } from '../../src/config/fields';

const complete = (settings: Settings) => completeConfiguration(settings).configuration;

describe('what a change asks of the daemon', () => {
  test.each<[string, Settings, Settings, string[]]>([
    ['nothing', {}, { mode: 'iptables', 'iptables.masqueradeBit': 14 }, []],
    ['verbosity', {}, { 'logging.verbosity': 5 }, ['log']],
    ['the addresses of NodePorts', {}, { nodePortAddresses: ['primary'] }, ['kernel', 'planning']],
    ['the pods', {}, { clusterCIDR: '10.0.0.0/8' }, ['planning']],
    ['a period', {}, { 'iptables.minSyncPeriod': 0 }, ['schedule']],
    ['a period of another mode', {}, { 'ipvs.syncPeriod': 1000 }, []],
    [
      'how often IPVS is looked at',
      { mode: 'ipvs' },
      { mode: 'ipvs', 'ipvs.syncPeriod': 9000 },
      ['machine', 'schedule'],
    ],
    ['the mode', {}, { mode: 'ipvs' }, ['machine', 'planning', 'schedule']],
    ['a scheduler', { mode: 'ipvs' }, { mode: 'ipvs', 'ipvs.scheduler': 'lc' }, ['machine']],
    ['a scheduler that nobody uses', {}, { 'ipvs.scheduler': 'lc' }, []],
    ['the mark', {}, { 'iptables.masqueradeBit': 15 }, ['machine']],
    ['a sysctl', {}, { 'conntrack.min': 5 }, ['kernel']],
    ['a sysctl that rules depend on', {}, { 'conntrack.tcpBeLiberal': true }, ['kernel', 'machine']],
    ['a server', {}, { metricsBindAddress: '0.0.0.0' }, ['servers']],
    ['the API server', {}, { 'clientConnection.kubeconfig': '/k' }, ['restart']],
  ])('%s', (_, now, next, parts) => {
    expect([...diffConfigurations(complete(now), complete(next))].sort()).toEqual(parts);
  });
});

test('fields that differ are named, also those that are set no more', () => {
  expect(diffSettings({ mode: 'ipvs', oomScoreAdj: 1 }, { oomScoreAdj: 1, clusterCIDR: '10.0.0.0/8' })).toEqual([
    'mode',
    'clusterCIDR',
  ]);
});

test('what takes a restart stays as it is', () => {
  const of = (settings: Settings): EffectiveConfiguration => ({
    configuration: complete(settings),
    settings,
    fromFile: true,
    warnings: [],
  });
  const start = of({ 'clientConnection.kubeconfig': '/a' });
  const next = of({ 'clientConnection.kubeconfig': '/b', hostnameOverride: 'b', mode: 'ipvs' });
  expect(withoutRestart(start, next)).toEqual(of({ 'clientConnection.kubeconfig': '/a', mode: 'ipvs' }));
});
