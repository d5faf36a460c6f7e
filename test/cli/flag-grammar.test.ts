import type { Settings } from '../../src/config/fields';
import { run } from './read-line';

describe("kube-proxy's grammar", () => {
  test.each<[string, Settings]>([
    ['-v=2', { 'logging.verbosity': 2 }],
    ['-v 2', { 'logging.verbosity': 2 }],
    ['-v2', { 'logging.verbosity': 2 }],
    ['--v 2', { 'logging.verbosity': 2 }],
    ['--masquerade-all=false', { 'iptables.masqueradeAll': false }],
    ['--masquerade-all=T', { 'iptables.masqueradeAll': true }],
    ['--masquerade_all --cluster_cidr=10.0.0.0/8', { 'iptables.masqueradeAll': true, clusterCIDR: '10.0.0.0/8' }],
    ['--hostname-override node_a', { hostnameOverride: 'node_a' }],
    ['--oom-score-adj -998', { oomScoreAdj: -998 }],
    ['--kubeconfig --v=2', { 'clientConnection.kubeconfig': '--v=2' }],
    ['--nodeport-addresses 10.0.0.0/8 --nodeport-addresses 11.0.0.0/8,12.0.0.0/8', nodePorts(10, 11, 12)],
    ['-v=2 -v=3', { 'logging.verbosity': 3 }],
    ['--hostname-override=a=b', { hostnameOverride: 'a=b' }],
    ['--kubeconfig=', {}],
  ])('%s', (line, settings) => {
    expect(run(line).flags.settings).toEqual(settings);
  });
});

function nodePorts(...firsts: number[]): Settings {
  return { nodePortAddresses: firsts.map((first) => `${first}.0.0.0/8`) };
}
