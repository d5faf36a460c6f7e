import { readFileSync } from 'node:fs';
import { parseCommandLine } from '../../src/cli/command-line';
import { runFlags } from '../../src/cli/flags';
import type { Settings } from '../../src/config/fields';
import type { FileVerbosity } from '../../src/config/value-kinds';
import { run, words } from './read-line';

const ownFlags = ['manifests', 'watch', 'dry-run', 'iptables-variant', 'ipvs-drain-limit'];
/** The flags of kube-proxy 1.36 on Linux. */
const kubeProxyFlags = words(
  'bind-address bind-address-hard-fail boot-id-file cleanup cluster-cidr config config-sync-period ' +
    'conntrack-max-per-core conntrack-min conntrack-tcp-be-liberal conntrack-tcp-timeout-close-wait ' +
    'conntrack-tcp-timeout-established conntrack-udp-timeout conntrack-udp-timeout-stream detect-local-mode ' +
    'feature-gates healthz-bind-address healthz-port help hostname-override init-only ' +
    'iptables-localhost-nodeports iptables-masquerade-bit iptables-min-sync-period iptables-sync-period ' +
    'ipvs-exclude-cidrs ipvs-min-sync-period ipvs-scheduler ipvs-strict-arp ipvs-sync-period ipvs-tcp-timeout ' +
    'ipvs-tcpfin-timeout ipvs-udp-timeout kube-api-burst kube-api-content-type kube-api-qps kubeconfig ' +
    'log-flush-frequency log-json-info-buffer-size log-json-split-stream log-text-info-buffer-size ' +
    'log-text-split-stream logging-format machine-id-file masquerade-all master metrics-bind-address metrics-port ' +
    'nodeport-addresses oom-score-adj pod-bridge-interface pod-interface-name-prefix profiling proxy-mode ' +
    'show-hidden-metrics-for-version v version vmodule write-config-to',
);

describe('flags bound to fields', () => {
  test.each<[string, Settings]>([
    ['--feature-gates=AllowServiceExternalIPs=false', { featureGates: { AllowServiceExternalIPs: false } }],
    ['--feature-gates A=true --feature-gates B=0,A=false', { featureGates: { A: false, B: false } }],
    ['--kubeconfig=/k', { 'clientConnection.kubeconfig': '/k' }],
    ['--kube-api-content-type=application/json', { 'clientConnection.contentType': 'application/json' }],
    ['--kube-api-qps=2.5', { 'clientConnection.qps': 2.5 }],
    ['--kube-api-burst=3', { 'clientConnection.burst': 3 }],
    ['--hostname-override=n', { hostnameOverride: 'n' }],
    ['--bind-address=::', { bindAddress: '::' }],
    ['--healthz-bind-address=10.0.0.1:1', { healthzBindAddress: '10.0.0.1:1' }],
    ['--metrics-bind-address=10.0.0.1', { metricsBindAddress: '10.0.0.1' }],
    ['--bind-address-hard-fail', { bindAddressHardFail: true }],
    ['--profiling', { enableProfiling: true }],
    ['--show-hidden-metrics-for-version=1.35', { showHiddenMetricsForVersion: '1.35' }],
    ['--proxy-mode=iptables', { mode: 'iptables' }],
    ['--iptables-masquerade-bit=0x0f', { 'iptables.masqueradeBit': 15 }],
    ['--masquerade-all', { 'iptables.masqueradeAll': true }],
    ['--iptables-localhost-nodeports=false', { 'iptables.localhostNodePorts': false }],
    ['--iptables-sync-period=1h', { 'iptables.syncPeriod': 3_600_000 }],
    ['--iptables-min-sync-period=0', { 'iptables.minSyncPeriod': 0 }],
    ['--ipvs-sync-period=5s', { 'ipvs.syncPeriod': 5000 }],
    ['--ipvs-min-sync-period=5s', { 'ipvs.minSyncPeriod': 5000 }],
    ['--ipvs-scheduler=lc', { 'ipvs.scheduler': 'lc' }],
    ['--ipvs-exclude-cidrs=10.0.0.0/8', { 'ipvs.excludeCIDRs': ['10.0.0.0/8'] }],
    ['--ipvs-strict-arp', { 'ipvs.strictARP': true }],
    ['--ipvs-tcp-timeout=1s', { 'ipvs.tcpTimeout': 1000 }],
    ['--ipvs-tcpfin-timeout=1s', { 'ipvs.tcpFinTimeout': 1000 }],
    ['--ipvs-udp-timeout=1s', { 'ipvs.udpTimeout': 1000 }],
    ['--detect-local-mode=NodeCIDR', { detectLocalMode: 'NodeCIDR' }],
    ['--pod-bridge-interface=cni0', { 'detectLocal.bridgeInterface': 'cni0' }],
    ['--pod-interface-name-prefix=veth', { 'detectLocal.interfaceNamePrefix': 'veth' }],
    ['--cluster-cidr=10.0.0.0/8,fd00::/8', { clusterCIDR: '10.0.0.0/8,fd00::/8' }],
    ['--nodeport-addresses=10.0.0.0/8,fd00::/8', { nodePortAddresses: ['10.0.0.0/8', 'fd00::/8'] }],
    ['--oom-score-adj=-998', { oomScoreAdj: -998 }],
    ['--conntrack-max-per-core=0', { 'conntrack.maxPerCore': 0 }],
    ['--conntrack-min=1', { 'conntrack.min': 1 }],
    ['--conntrack-tcp-timeout-established=1s', { 'conntrack.tcpEstablishedTimeout': 1000 }],
    ['--conntrack-tcp-timeout-close-wait=1s', { 'conntrack.tcpCloseWaitTimeout': 1000 }],
    ['--conntrack-tcp-be-liberal', { 'conntrack.tcpBeLiberal': true }],
    ['--conntrack-udp-timeout=1s', { 'conntrack.udpTimeout': 1000 }],
    ['--conntrack-udp-timeout-stream=1s', { 'conntrack.udpStreamTimeout': 1000 }],
    ['--config-sync-period=1m', { configSyncPeriod: 60_000 }],
    ['--v=2', { 'logging.verbosity': 2 }],
    ['--vmodule=a=1,b*=2', { 'logging.vmodule': verbosities({ a: 1, 'b*': 2 }) }],
    ['--logging-format=json', { 'logging.format': 'json' }],
    ['--log-flush-frequency=1s', { 'logging.flushFrequency': 1000 }],
    ['--log-text-split-stream', { 'logging.options.text.splitStream': true }],
    ['--log-json-split-stream', { 'logging.options.json.splitStream': true }],
    ['--log-text-info-buffer-size=64Ki', { 'logging.options.text.infoBufferSize': 65_536 }],
    ['--log-json-info-buffer-size=1M', { 'logging.options.json.infoBufferSize': 1_000_000 }],
  ])('%s', (line, settings) => {
    expect(run(line).flags.settings).toEqual(settings);
  });

  test('are named, for warnings and mistakes', () => {
    expect(run('--cluster-cidr=10.0.0.0/8').flags.names).toEqual({ clusterCIDR: '--cluster-cidr' });
  });

  test("kube-proxy's and vipwire's are all there is", () => {
    const known = runFlags.map(({ name }) => name);
    expect([...known].sort()).toEqual([...kubeProxyFlags, ...ownFlags].sort());
  });

  test.each<[string, Settings]>([
    ['--healthz-port=0', { healthzBindAddress: '' }],
    ['--healthz-port=0 --healthz-bind-address=0.0.0.0:1', { healthzBindAddress: '' }],
    ['--healthz-port=7', { healthzBindAddress: '0.0.0.0:7' }],
    ['--healthz-port=7 --healthz-bind-address=::', { healthzBindAddress: '[::]:7' }],
    ['--healthz-port=7 --healthz-bind-address=10.0.0.1:8', { healthzBindAddress: '10.0.0.1:8' }],
    ['--healthz-port=7 --healthz-bind-address=[::1]:8', { healthzBindAddress: '[::1]:8' }],
    ['--metrics-port=7', { metricsBindAddress: '127.0.0.1:7' }],
    ['--metrics-port=0', { metricsBindAddress: '' }],
    ['--healthz-bind-address= --metrics-bind-address=', {}],
  ])('of the servers: %s', (line, settings) => {
    expect(run(line).flags.settings).toEqual(settings);
  });
});

function verbosities(of: Readonly<Record<string, number>>): FileVerbosity[] {
  return Object.entries(of).map(([filePattern, verbosity]) => ({ filePattern, verbosity }));
}

/** Flags of the daemon that make it do something else. */
const otherTasks = ['dry-run', 'cleanup', 'init-only', 'write-config-to', 'version', 'help'];

describe.each(['render', 'compare', 'diff', 'explain 10.0.0.1', 'preflight'])('%s', (command) => {
  const question = command.startsWith('explain') ? ' 10.96.0.10:80' : '';
  const isSource = (name: string): boolean => command === 'preflight' && ['manifests', 'watch'].includes(name);

  test.each(runFlags.filter(({ name }) => !otherTasks.includes(name) && !isSource(name)).map(({ name }) => name))(
    "takes the daemon's --%s, with the same meaning",
    (name) => {
      const examples: Readonly<Record<string, string>> = { 'iptables-variant': 'nft', 'ipvs-scheduler': 'rr' };
      const { kind, field } = runFlags.find((flag) => flag.name === name) ?? {};
      const value = ['true', '5', '30s', '10.0.0.0/8', '10.0.0.1:1', 'A=true', 'info', examples[name] ?? 'x']
        .reverse()
        .find((text) => kind?.parse(text) !== undefined);
      const line = `${command}${question} --${name}=${value ?? ''}`;
      const asked = parseCommandLine(words(line)) as unknown as { readonly flags: { readonly settings: unknown } };
      expect(asked).toMatchObject({ kind: command.split(' ')[0] });
      if (field !== undefined) expect(asked.flags.settings).toEqual(run(`--${name}=${value ?? ''}`).flags.settings);
    },
  );
});

test('the arguments of the DaemonSet fit behind each command that is about its node', () => {
  const text = readFileSync('manifests/base/daemonset.yaml', 'utf8');
  const args = [...text.matchAll(/^ +- (--\S+)$/gm)].map(([, arg = '']) => arg.replace('$(NODE_NAME)', 'node-1'));
  expect(args).toContain('--hostname-override=node-1');
  for (const command of ['render', 'compare', 'diff', 'preflight'])
    expect(parseCommandLine([command, ...args.filter((arg) => arg !== '--init-only')]).kind).toBe(command);
});
