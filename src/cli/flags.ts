/**
 * All flags, kube-proxy's and vipwire's own. Parsing, defaults and help texts come from here. A flag that is bound to a field of the
 * configuration file has the field's type and default.
 */
import { bool, duration, integer, list, text } from '../config/value-kinds';
import { schedulerNames } from '../model/scheduler';
import { bound, type Flag, flag, idle } from './flag';

const cluster = 'The cluster';
const node = 'This node';
const held = "What the node's kernel holds (without these flags: what this machine's kernel holds)";
const rules = 'Rules';
const ipvs = 'IPVS mode';
const kernel = "The node's kernel";
const servers = 'Health and metrics';
const logging = 'Logging';
const own = "vipwire's own";
const other = 'Other';

const cidrs = { placeholder: 'CIDR,...' };
const name = { placeholder: 'NAME' };
const file = { placeholder: 'FILE' };
const address = { placeholder: 'IP:PORT' };

const config: Flag = { ...flag('config', text, cluster, 'KubeProxyConfiguration v1alpha1, YAML or JSON'), ...file };
const kubeconfig = bound('kubeconfig', 'clientConnection.kubeconfig', cluster, file);
const master: Flag = {
  ...flag('master', text, cluster, "URL of the API server, instead of the kubeconfig's"),
  placeholder: 'URL',
};
const iptablesVariant: Flag = {
  ...flag(
    'iptables-variant',
    text,
    own,
    'iptables tools to use: nft, legacy or auto (default auto; environment variable: VIPWIRE_IPTABLES)',
  ),
  placeholder: 'VARIANT',
};
const bindAddress = bound('bind-address', 'bindAddress', node, { placeholder: 'IP' });

/** The output formats of a command. */
function output(forms: string): Flag {
  return { ...flag('output', text, own, forms), short: 'o', placeholder: 'FORMAT' };
}

/** Flags that decide what the rules are, for every command. */
const ruleFlags: readonly Flag[] = [
  bound('proxy-mode', 'mode', rules, { placeholder: 'MODE' }),
  bound('cluster-cidr', 'clusterCIDR', rules, cidrs),
  bound('detect-local-mode', 'detectLocalMode', rules, { placeholder: 'MODE' }),
  bound('pod-bridge-interface', 'detectLocal.bridgeInterface', rules, name),
  bound('pod-interface-name-prefix', 'detectLocal.interfaceNamePrefix', rules, { placeholder: 'PREFIX' }),
  bound('masquerade-all', 'iptables.masqueradeAll', rules),
  bound('iptables-masquerade-bit', 'iptables.masqueradeBit', rules),
  bound('nodeport-addresses', 'nodePortAddresses', rules, cidrs),
  bound('iptables-localhost-nodeports', 'iptables.localhostNodePorts', rules),
  bound('feature-gates', 'featureGates', rules, { placeholder: 'GATE=BOOL,...' }),
];

const ipvsScheduler = bound('ipvs-scheduler', 'ipvs.scheduler', ipvs, {
  placeholder: 'NAME',
  help: `For Services that choose no scheduler (default rr): ${schedulerNames.join(' ')}; sh and mh take flags: mh,mh-fallback,mh-port`,
});

const ipvsFlags: readonly Flag[] = [
  ipvsScheduler,
  bound('ipvs-exclude-cidrs', 'ipvs.excludeCIDRs', ipvs, cidrs),
  bound('ipvs-strict-arp', 'ipvs.strictARP', ipvs),
  flag(
    'ipvs-drain-limit',
    duration,
    ipvs,
    'How long at most a TCP endpoint that was removed keeps its connections; 0: until they end (default 1h)',
  ),
  bound('ipvs-sync-period', 'ipvs.syncPeriod', ipvs),
  bound('ipvs-min-sync-period', 'ipvs.minSyncPeriod', ipvs),
  bound('ipvs-tcp-timeout', 'ipvs.tcpTimeout', ipvs),
  bound('ipvs-tcpfin-timeout', 'ipvs.tcpFinTimeout', ipvs),
  bound('ipvs-udp-timeout', 'ipvs.udpTimeout', ipvs),
];

const logFlags: readonly Flag[] = [
  bound('v', 'logging.verbosity', logging, { short: 'v' }),
  bound('logging-format', 'logging.format', logging, { placeholder: 'FORMAT' }),
];

const version: Flag = {
  ...flag('version', text, other, 'Print the version'),
  valueOnlyAfterEquals: true,
  placeholder: '',
};
const help: Flag = { ...flag('help', bool, other, 'Print this help'), short: 'h' };

const serverFlags: readonly Flag[] = [
  bound('healthz-bind-address', 'healthzBindAddress', servers, address),
  {
    ...flag('healthz-port', integer, servers, 'Deprecated: the port of --healthz-bind-address; 0 turns it off'),
    placeholder: 'PORT',
  },
  bound('metrics-bind-address', 'metricsBindAddress', servers, address),
  {
    ...flag('metrics-port', integer, servers, 'Deprecated: the port of --metrics-bind-address; 0 turns it off'),
    placeholder: 'PORT',
  },
  bound('bind-address-hard-fail', 'bindAddressHardFail', servers),
  bound('profiling', 'enableProfiling', servers),
  bound('show-hidden-metrics-for-version', 'showHiddenMetricsForVersion', servers, { placeholder: 'VERSION' }),
];

const kernelFlags: readonly Flag[] = [
  bound('conntrack-max-per-core', 'conntrack.maxPerCore', kernel),
  bound('conntrack-min', 'conntrack.min', kernel),
  bound('conntrack-tcp-timeout-established', 'conntrack.tcpEstablishedTimeout', kernel),
  bound('conntrack-tcp-timeout-close-wait', 'conntrack.tcpCloseWaitTimeout', kernel),
  bound('conntrack-tcp-be-liberal', 'conntrack.tcpBeLiberal', kernel),
  bound('conntrack-udp-timeout', 'conntrack.udpTimeout', kernel),
  bound('conntrack-udp-timeout-stream', 'conntrack.udpStreamTimeout', kernel),
  bound('oom-score-adj', 'oomScoreAdj', kernel),
];

/** Flags for what vipwire does not have: a log buffer, a client's rate limit, resyncs, cAdvisor. */
const idleFlags: readonly Flag[] = [
  bound('kube-api-content-type', 'clientConnection.contentType', idle, { placeholder: 'TYPE' }),
  bound('kube-api-qps', 'clientConnection.qps', idle),
  bound('kube-api-burst', 'clientConnection.burst', idle),
  bound('config-sync-period', 'configSyncPeriod', idle),
  bound('vmodule', 'logging.vmodule', idle),
  bound('log-flush-frequency', 'logging.flushFrequency', idle),
  bound('log-text-split-stream', 'logging.options.text.splitStream', idle),
  bound('log-json-split-stream', 'logging.options.json.splitStream', idle),
  bound('log-text-info-buffer-size', 'logging.options.text.infoBufferSize', idle),
  bound('log-json-info-buffer-size', 'logging.options.json.infoBufferSize', idle),
  { ...flag('boot-id-file', text, idle, 'Where cAdvisor looks for the boot ID'), ...file },
  { ...flag('machine-id-file', text, idle, 'Where cAdvisor looks for the machine ID'), ...file },
];

const allRunFlags: readonly Flag[] = [
  config,
  kubeconfig,
  master,
  bound('hostname-override', 'hostnameOverride', node, name),
  bindAddress,
  ...ruleFlags,
  bound('iptables-sync-period', 'iptables.syncPeriod', rules),
  bound('iptables-min-sync-period', 'iptables.minSyncPeriod', rules),
  ...ipvsFlags,
  ...kernelFlags,
  ...serverFlags,
  ...logFlags,
  { ...flag('manifests', list, own, 'Files or folders instead of an API server'), placeholder: 'PATH,...' },
  flag('watch', bool, own, 'Follow changes of --manifests'),
  flag('dry-run', bool, own, 'Print every batch that would be written, and change nothing'),
  iptablesVariant,
  flag('cleanup', bool, other, "Remove vipwire's and kube-proxy's rules, and exit: the same as vipwire cleanup"),
  flag(
    'init-only',
    bool,
    other,
    "Load modules and write the kernel's settings, and exit: for a privileged init container",
  ),
  {
    ...flag(
      'write-config-to',
      text,
      other,
      'Write the configuration in effect to a file (-: standard output), and exit',
    ),
    ...file,
  },
  version,
  help,
  ...idleFlags,
];

/** In the order of the help text, where flags without effect come last. */
export const runFlags: readonly Flag[] = [
  ...allRunFlags.filter(({ group }) => group !== idle),
  ...allRunFlags.filter(({ group }) => group === idle),
];

/** Flags that give the daemon's command another task. */
const otherTasks = ['dry-run', 'cleanup', 'init-only', 'write-config-to', 'version'];
const withoutEffect = "The daemon's, without effect here";
/** The daemon's flags that change what other commands print. */
const decisiveFlags: ReadonlySet<string> = new Set(
  ['hostname-override', 'manifests', 'iptables-variant', 'ipvs-exclude-cidrs', 'ipvs-scheduler'].concat(
    ruleFlags.map(({ name }) => name),
    logFlags.map(({ name }) => name),
  ),
);

/** Adds the daemon's flags that a command does not have itself, so that the arguments of a DaemonSet can be pasted. */
function withDaemonFlags(flags: readonly Flag[]): Flag[] {
  const own = new Set(flags.map(({ name }) => name));
  const others = runFlags.filter(({ name }) => !own.has(name) && !otherTasks.includes(name));
  const isIdle = ({ name }: Flag): boolean => !decisiveFlags.has(name);
  return [
    ...flags,
    ...others.filter((one) => !isIdle(one)),
    ...others.filter(isIdle).map((one) => ({ ...one, group: one.group === idle ? idle : withoutEffect })),
  ];
}

/** For commands about one node of a cluster that is read once. */
const nodeFlags: readonly Flag[] = [
  {
    ...flag('filename', list, cluster, 'Files or folders with manifests; - is standard input'),
    short: 'f',
    placeholder: 'PATH,...',
  },
  { ...kubeconfig, help: 'Read the cluster from this API server' },
  master,
  { ...config, group: rules },
  {
    ...flag(
      'node',
      text,
      node,
      'Node whose rules are meant (default: the only Node that there is, else a node without pods)',
    ),
    ...name,
  },
  { ...bindAddress, help: "Instead of this node's address" },
  { ...flag('ip-family', text, own, 'IPv4, IPv6 or dual (default dual)'), placeholder: 'FAMILY' },
  help,
];

/** The daemon's flags except those about manifests and other tasks, so that kube-proxy's command line can be used. */
export const preflightFlags: readonly Flag[] = [
  output('table or json (default table)'),
  ...runFlags.filter(({ name }) => !['manifests', 'watch', ...otherTasks].includes(name)),
];

export const renderFlags: readonly Flag[] = withDaemonFlags([
  output('rules, json or summary (default rules)'),
  ...nodeFlags,
]);

/** Files with what a node's kernel holds, instead of this machine's kernel. */
const heldFlags: readonly Flag[] = [
  { ...flag('iptables-save', list, held, 'What iptables-save and ip6tables-save printed'), placeholder: 'FILE,...' },
  { ...flag('ipvsadm', text, held, 'IPVS mode: what ipvsadm -Sn printed'), ...file },
  { ...flag('ipset', text, held, 'IPVS mode: what ipset save printed'), ...file },
  { ...flag('ipvs-addresses', text, held, 'IPVS mode: what ip -o address show dev kube-ipvs0 printed'), ...file },
  { ...flag('nft', text, held, 'What nft -j list ruleset printed'), ...file },
  {
    ...flag(
      'recorded-dir',
      text,
      held,
      'A folder with some of the files iptables-save, ip6tables-save, ipvsadm, ipset, ipvs-addresses and nft.json',
    ),
    placeholder: 'DIR',
  },
  {
    ...flag('node-addresses', list, node, "The node's addresses, where the Node object does not list all of them"),
    placeholder: 'IP,...',
  },
];

export const compareFlags: readonly Flag[] = withDaemonFlags([
  output('text or json (default text)'),
  ...heldFlags,
  ...nodeFlags,
]);

export const diffFlags: readonly Flag[] = withDaemonFlags([
  output('diff, summary or json (default diff)'),
  flag('watch', bool, own, 'Keep running, and print again when something has changed'),
  ...heldFlags.filter(({ name }) => name !== 'nft'),
  ...nodeFlags,
]);

export const cleanupFlags: readonly Flag[] = [
  iptablesVariant,
  { ...config, group: logging, help: 'For its logging fields' },
  ...logFlags,
  help,
];

export const statusFlags: readonly Flag[] = [
  { ...config, help: "The daemon's, for its metricsBindAddress" },
  bound('metrics-bind-address', 'metricsBindAddress', servers, {
    ...address,
    help: "Address of the daemon's metrics port, which serves the status (default 127.0.0.1:10249)",
  }),
  output('text or json (default text)'),
  help,
];

export const configFlags: readonly Flag[] = [help];
