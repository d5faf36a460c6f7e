import { readFileSync } from 'node:fs';
import { parseCommandLine } from '../../src/cli/command-line';
import type { Surroundings } from '../../src/cli/command-line';
import type { Invocation, RenderInvocation, RunInvocation } from '../../src/cli/invocation';
import { runFlags } from '../../src/cli/flags';
import type { Settings } from '../../src/config/fields';
import type { FileVerbosity } from '../../src/config/value-kinds';
import { UserError } from '../../src/model/user-error';
import { version } from '../../src/model/version';

const words = (line: string): string[] => (line === '' ? [] : line.split(' '));

function run(line: string, surroundings?: Surroundings): RunInvocation {
  const invocation = parseCommandLine(words(line), surroundings);
  if (invocation.kind !== 'run') throw new Error(`it is ${invocation.kind}`);
  return invocation;
}
function render(line: string): RenderInvocation {
  const invocation = parseCommandLine(words(line));
  if (invocation.kind !== 'render') throw new Error(`it is ${invocation.kind}`);
  return invocation;
}
function refusal(line: string, surroundings?: Surroundings): string {
  try {
    parseCommandLine(words(line), surroundings);
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    return (error as Error).message;
  }
  throw new Error('it was accepted');
}

test('nothing at all is the daemon', () => {
  expect(run('')).toEqual({
    kind: 'run',
    flags: { configFile: '', master: '', settings: {}, names: {}, precedence: 'file', mayBreakRules: false },
    manifests: [],
    watch: false,
    dryRun: false,
    drainLimitMs: 3_600_000,
    iptablesVariant: 'auto',
    flagTexts: expect.objectContaining({ 'iptables-masquerade-bit': '14', 'dry-run': 'false' }) as unknown,
  });
  expect(run('--iptables-masquerade-bit=7 --nodeport-addresses=primary').flagTexts).toMatchObject({
    'iptables-masquerade-bit': '7',
    'nodeport-addresses': 'primary',
    'config-sync-period': '15m0s',
  });
  expect(run('run')).toEqual(run(''));
});

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

const ownFlags = ['manifests', 'watch', 'dry-run', 'iptables-variant', 'ipvs-drain-limit'];
/** What kube-proxy 1.36 takes on Linux. */
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

function verbosities(of: Readonly<Record<string, number>>): FileVerbosity[] {
  return Object.entries(of).map(([filePattern, verbosity]) => ({ filePattern, verbosity }));
}

function nodePorts(...firsts: number[]): Settings {
  return { nodePortAddresses: firsts.map((first) => `${first}.0.0.0/8`) };
}

describe('what is not understood is refused in one line', () => {
  test.each([
    ['--proxy-mod=iptables', 'unknown flag --proxy-mod: did you mean --proxy-mode?'],
    ['--hostname_overide=x', 'unknown flag --hostname-overide: did you mean --hostname-override?'],
    ['--zzz', 'unknown flag --zzz'],
    ['-x', 'unknown flag -x'],
    ['--cluster-cidr', 'flag --cluster-cidr needs a value'],
    ['-v', 'flag --v needs a value'],
    ['-v=x', '--v: want a whole number, found "x"'],
    [
      '--v=x --cluster-cidr= --ipvs-udp-timeout=1',
      '--ipvs-udp-timeout: want a duration such as 30s, 1h30m or 100ms, found "1"; --v: want a whole number, found "x"',
    ],
    ['--masquerade-all=maybe', '--masquerade-all: want true or false, found "maybe"'],
    ['--iptables-sync-period=30', '--iptables-sync-period: want a duration such as 30s, 1h30m or 100ms, found "30"'],
    ['--masquerade-all false', 'unexpected argument "false": vipwire run takes only flags'],
    ['--config=x y', 'unexpected argument "y": vipwire run takes only flags'],
    ['-- x', 'unexpected argument "x": vipwire run takes only flags'],
    ['-v=4 render', 'unexpected argument "render": the command comes first, as in vipwire render --help'],
    ['--manifests a b', 'unexpected argument "b": give every path its own --manifests, or put commas between them'],
    ['cleanup x', 'unexpected argument "x": vipwire cleanup takes only flags'],
    ['cleanup --dry-run', 'unknown flag --dry-run'],
    ['--watch', '--watch goes with --manifests: an API server is always watched'],
    ['--iptables-variant=nftables', '--iptables-variant: "nftables" is not one of nft, legacy, auto'],
    ['render -o yaml', '--output: "yaml" is not one of rules, json, summary'],
    [
      'explain 10.96.0.10:80',
      'vipwire explain takes FROM TO:PORT, svc/NAMESPACE/NAME or pod/NAMESPACE/NAME; FROM: an address, pod NAMESPACE/NAME, node or outside',
    ],
    [
      'help me',
      'there is no command "me": use run, render, diff, explain, compare, preflight, status, cleanup, config',
    ],
  ])('%s', (line, message) => {
    expect(refusal(line)).toBe(message);
  });
});

test("vipwire's own flags of the daemon", () => {
  expect(run('--config=c.yaml --master=http://a --manifests a,b --manifests=c --watch --dry-run')).toMatchObject({
    flags: { configFile: 'c.yaml', master: 'http://a' },
    manifests: ['a', 'b', 'c'],
    watch: true,
    dryRun: true,
  });
});

test('--init-only takes the configuration alone', () => {
  expect(parseCommandLine(words('--init-only --proxy-mode=ipvs --config=c.yaml'))).toMatchObject({
    kind: 'init',
    flags: { configFile: 'c.yaml', settings: { mode: 'ipvs' } },
  });
  expect(run('--init-only=false').kind).toBe('run');
});

describe('the variant of iptables', () => {
  const environment = { VIPWIRE_IPTABLES: 'legacy' };
  test.each<[string, Surroundings, string]>([
    ['', {}, 'auto'],
    ['--iptables-variant nft', {}, 'nft'],
    ['', { environment }, 'legacy'],
    ['--iptables-variant=auto', { environment }, 'auto'],
    ['', { environment: { VIPWIRE_IPTABLES: '' } }, 'auto'],
  ])('%s', (line, surroundings, variant) => {
    expect(run(line, surroundings).iptablesVariant).toBe(variant);
  });

  test('of the environment is checked', () => {
    const wrong = { environment: { VIPWIRE_IPTABLES: 'xt' } };
    expect(refusal('', wrong)).toBe('VIPWIRE_IPTABLES: "xt" is not one of nft, legacy, auto');
  });
});

describe('render', () => {
  test('has defaults', () => {
    expect(render('render')).toMatchObject({ files: [], node: '', output: 'rules', families: ['IPv4', 'IPv6'] });
  });

  test.each<[string, Partial<RenderInvocation>]>([
    ['-f a,b --filename=c d', { files: ['a', 'b', 'c', 'd'] }],
    ['-f -', { files: ['-'] }],
    ['-f=- -o json', { files: ['-'], output: 'json' }],
    ['-', { files: ['-'] }],
    ['--output=summary', { output: 'summary' }],
    ['--node Node-1', { node: 'Node-1' }],
    ['--ip-family IPv4', { families: ['IPv4'] }],
    ['--ip_family=ipv6', { families: ['IPv6'] }],
    ['--ip-family 4', { families: ['IPv4'] }],
    ['--ip-family dual', { families: ['IPv4', 'IPv6'] }],
  ])('%s', (line, part) => {
    expect(render(`render ${line}`)).toMatchObject(part);
  });

  test('takes --manifests as the daemon does', () => {
    expect(render('render --manifests a,b --watch -f c').files).toEqual(['c', 'a', 'b']);
  });

  test('lets its flags win over the file', () => {
    expect(render('render --config c --cluster-cidr 10.0.0.0/8').flags).toMatchObject({
      configFile: 'c',
      settings: { clusterCIDR: '10.0.0.0/8' },
      precedence: 'flags',
    });
  });
});

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

test.each(['cleanup --config=c --iptables-variant=legacy', '--cleanup --config=c --iptables-variant=legacy'])(
  '%s cleans up, whatever the configuration',
  (line) => {
    expect(parseCommandLine(words(line))).toMatchObject({
      kind: 'cleanup',
      flags: { configFile: 'c', mayBreakRules: true },
      iptablesVariant: 'legacy',
    });
  },
);

test('--cleanup=false is the daemon', () => {
  expect(run('--cleanup=false').kind).toBe('run');
});

describe('texts', () => {
  const text = (line: string, columns?: number): string => {
    const invocation: Invocation = parseCommandLine(words(line), { columns });
    if (!('text' in invocation)) throw new Error(`it is ${invocation.kind}`);
    return invocation.text;
  };

  test.each(['--version', '--version=raw', 'run --version', '--config=x --version=true'])('%s', (line) => {
    expect(text(line)).toBe(`vipwire ${version}\n`);
  });

  test.each(['--help', '-h', 'help'])('%s is the overview', (line) => {
    expect(text(line)).toContain('Usage: vipwire [COMMAND] [flags]');
  });

  test.each(['run --help', '--v=2 --help', 'help run', '--nonsense -h'])('%s lists every flag', (line) => {
    const help = text(line);
    for (const { name } of runFlags) expect(help).toMatch(new RegExp(`^  (-., )?--?${name}( |$)`, 'm'));
  });

  test.each([
    ['run', 80],
    ['run', 120],
    ['render', 80],
    ['cleanup', 80],
  ])('the help of %s fits in %d columns and is aligned', (name, columns) => {
    const [lines] = text(`${name} --help`, columns).split('\nExamples:');
    const items = (lines ?? '').split('\n').filter((line) => line.startsWith('  '));
    expect(items.length).toBeGreaterThan(3);
    for (const line of items) {
      expect(line.length).toBeLessThanOrEqual(columns);
      expect(line).toMatch(/^ {2}(-.{0,32} {2,}(?<=^.{37})\S|-\S.{32,}$| {35}\S)/);
    }
  });
});
