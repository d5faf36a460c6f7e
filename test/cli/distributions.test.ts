/** What starts kube-proxy also starts vipwire: command lines and files of distributions, each from a public document. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseCommandLine } from '../../src/cli/command-line';
import { type EffectiveConfiguration, effectiveConfiguration } from '../../src/config/effective';

/** The file has the name of the distribution. */
async function start(distribution: string, args: readonly string[]): Promise<EffectiveConfiguration> {
  const invocation = parseCommandLine(args);
  if (invocation.kind !== 'run') throw new Error(`it is ${invocation.kind}`);
  return effectiveConfiguration(invocation.flags, () =>
    readFile(join('test', 'recorded', 'distributions', `${distribution}.conf`), 'utf8'),
  );
}

test('kubeadm', async () => {
  // https://github.com/kubernetes/kubernetes/blob/master/cmd/kubeadm/app/phases/addons/proxy/manifests.go
  const args = ['--config=/var/lib/kube-proxy/config.conf', '--hostname-override=node-1'];
  const { configuration, warnings } = await start('kubeadm', args);
  expect(warnings).toEqual([]);
  expect(configuration).toMatchObject({
    mode: 'iptables',
    kubeconfig: '/var/lib/kube-proxy/kubeconfig.conf',
    hostnameOverride: 'node-1',
    clusterCIDRs: ['10.244.0.0/16'],
    masqueradeBit: 14,
    localhostNodePorts: true,
    syncPeriodMs: 30_000,
    minSyncPeriodMs: 1000,
    healthzBindAddress: { address: '0.0.0.0', port: 10256 },
    metricsBindAddress: { address: '127.0.0.1', port: 10249 },
    oomScoreAdj: -999,
    conntrack: { maxPerCore: 32_768, min: 131_072, tcpEstablishedTimeoutSeconds: 86_400 },
  });
});

test('kind', async () => {
  const args = ['--config=/var/lib/kube-proxy/config.conf', '--hostname-override=kind-worker'];
  const { configuration, warnings } = await start('kind', args);
  expect(warnings).toEqual(['accepted, but without effect in vipwire: featureGates KubeletInUserNamespace']);
  expect(configuration).toMatchObject({
    mode: 'ipvs',
    minSyncPeriodMs: 0,
    clusterCIDRs: ['10.244.0.0/16', 'fd00:10:244::/56'],
    conntrack: { maxPerCore: 0, tcpEstablishedTimeoutSeconds: 0, tcpCloseWaitTimeoutSeconds: 0 },
  });
});

test('EKS', async () => {
  // https://github.com/helm/charts/issues/16476 shows the DaemonSet's command; the name of the node came with IPv6.
  const args = ['--v=2', '--config=/var/lib/kube-proxy-config/config', '--hostname-override=ip-10-0-0-1.ec2.internal'];
  const { configuration, warnings } = await start('eks', args);
  expect(warnings).toEqual([]);
  expect(configuration).toMatchObject({
    mode: 'iptables',
    kubeconfig: '/var/lib/kube-proxy/kubeconfig',
    hostnameOverride: 'ip-10-0-0-1.ec2.internal',
    clusterCIDRs: [],
    minSyncPeriodMs: 1000,
    metricsBindAddress: { address: '0.0.0.0', port: 10249 },
    oomScoreAdj: -998,
    logging: { verbosity: 2 },
  });
});

test('RKE2', async () => {
  // kubeProxyArgs of https://github.com/k3s-io/k3s/blob/master/pkg/daemons/agent/agent_linux.go, which RKE2 runs in a static pod.
  const { configuration, warnings } = await start('none', [
    '--cluster-cidr=10.42.0.0/16',
    '--conntrack-max-per-core=0',
    '--conntrack-tcp-timeout-close-wait=0s',
    '--conntrack-tcp-timeout-established=0s',
    '--healthz-bind-address=127.0.0.1',
    '--hostname-override=node-1',
    '--kubeconfig=/var/lib/rancher/rke2/agent/kubeproxy.kubeconfig',
    '--proxy-mode=iptables',
  ]);
  expect(warnings).toEqual([]);
  expect(configuration).toMatchObject({
    mode: 'iptables',
    clusterCIDRs: ['10.42.0.0/16'],
    healthzBindAddress: { address: '127.0.0.1', port: 10256 },
    conntrack: { maxPerCore: 0, tcpEstablishedTimeoutSeconds: 0, tcpCloseWaitTimeoutSeconds: 0 },
  });
});

test('kOps', async () => {
  // https://github.com/kubernetes/kops/blob/master/nodeup/pkg/model/tests/golden/minimal/tasks-kube-proxy.yaml
  const { configuration, warnings } = await start('none', [
    '--cluster-cidr=100.96.0.0/11',
    '--conntrack-max-per-core=131072',
    '--kubeconfig=/var/lib/kube-proxy/kubeconfig',
    '--master=https://api.internal.minimal.example.com',
    '--oom-score-adj=-998',
    '--v=2',
  ]);
  expect(warnings).toEqual([]);
  expect(configuration).toMatchObject({
    mode: 'iptables',
    clusterCIDRs: ['100.96.0.0/11'],
    master: 'https://api.internal.minimal.example.com',
    conntrack: { maxPerCore: 131_072, min: 131_072 },
    oomScoreAdj: -998,
  });
});

test('kube-up on GCE', async () => {
  // https://github.com/kubernetes/kubernetes/blob/master/cluster/gce/windows/k8s-node-setup.psm1 quotes it.
  const { configuration, warnings } = await start('none', [
    '--master=https://35.239.84.171',
    '--kubeconfig=/var/lib/kube-proxy/kubeconfig',
    '--cluster-cidr=10.64.0.0/14',
    '--oom-score-adj=-998',
    '--v=2',
    '--iptables-sync-period=1m',
    '--iptables-min-sync-period=10s',
    '--ipvs-sync-period=1m',
    '--ipvs-min-sync-period=10s',
  ]);
  expect(warnings).toEqual([]);
  expect(configuration).toMatchObject({ mode: 'iptables', syncPeriodMs: 60_000, minSyncPeriodMs: 10_000 });
});
