/**
 * Every flag: kube-proxy's and vipwire's own. Parsing, defaults and the help text come from here; a flag that is bound to
 * a field of the configuration file takes its type and default from that field.
 */
import { fieldAt, isZero } from '../config/fields';
import type { FieldPath } from '../config/fields';
import { bool, duration, integer, list, text } from '../config/value-kinds';
import type { ValueKind } from '../config/value-kinds';
import { schedulerNames } from '../model/scheduler';

export interface Flag {
  readonly name: string;
  readonly short?: string;
  readonly kind: ValueKind<unknown>;
  /** The value comes after `=` or not at all: `--version`, `--version=raw`. Always so for true and false. */
  readonly valueOnlyAfterEquals: boolean;
  readonly field?: FieldPath;
  readonly group: string;
  readonly placeholder: string;
  readonly help: string;
}

const cluster = 'The cluster';
const node = 'This node';
const rules = 'Rules';
const ipvs = 'IPVS mode';
const kernel = "The node's kernel";
const servers = 'Health and metrics';
const logging = 'Logging';
const own = "vipwire's own";
const other = 'Other';
const idle = "kube-proxy's, accepted without effect yet";
const refused = "kube-proxy's, not there yet: refused, since a daemon would start in the place of what was asked";
const idleByDesign = "kube-proxy's, accepted: vipwire has no such thing to tune";

interface FlagOptions {
  readonly short?: string;
  readonly placeholder?: string;
  readonly valueOnlyAfterEquals?: boolean;
}

/** A flag of its own. */
function flag(name: string, kind: ValueKind<unknown>, group: string, help: string, options: FlagOptions = {}): Flag {
  return { name, kind, group, help, placeholder: kind.placeholder, valueOnlyAfterEquals: kind === bool, ...options };
}

/** A flag bound to a field. */
function bound(name: string, field: FieldPath, group: string, help: string, options: FlagOptions = {}): Flag {
  const { kind, initial } = fieldAt(field);
  const shown = isZero(initial) ? help : `${help} (default ${kind.print(initial)})`;
  return { ...flag(name, kind, group, shown, options), field };
}

const cidrs = { placeholder: 'CIDR,...' };
const name = { placeholder: 'NAME' };
const file = { placeholder: 'FILE' };
const address = { placeholder: 'IP:PORT' };

const config = flag('config', text, cluster, 'KubeProxyConfiguration v1alpha1, YAML or JSON', file);
const kubeconfig = bound(
  'kubeconfig',
  'clientConnection.kubeconfig',
  cluster,
  'How to reach the API server; without it and --master: in-cluster credentials',
  file,
);
const master = flag('master', text, cluster, "URL of the API server, in the place of the kubeconfig's", {
  placeholder: 'URL',
});
const iptablesVariant = flag(
  'iptables-variant',
  text,
  own,
  'iptables tools to use: nft, legacy or auto (default auto; also by the environment, VIPWIRE_IPTABLES)',
  { placeholder: 'VARIANT' },
);

const bindAddress = bound(
  'bind-address',
  'bindAddress',
  node,
  "In the place of this node's address; it decides the primary family and is never bound",
  { placeholder: 'IP' },
);
const featureGates = bound(
  'feature-gates',
  'featureGates',
  rules,
  'AllowServiceExternalIPs=false ignores external IPs',
  {
    placeholder: 'GATE=BOOL,...',
  },
);

/** Flags that decide what the rules are, whoever asks for them. */
const ruleFlags: readonly Flag[] = [
  bound('proxy-mode', 'mode', rules, 'How the kernel is programmed', { placeholder: 'MODE' }),
  bound('cluster-cidr', 'clusterCIDR', rules, "The pods' addresses, one CIDR a family", cidrs),
  bound(
    'detect-local-mode',
    'detectLocalMode',
    rules,
    "How this node's pods are told from others: ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix",
    { placeholder: 'MODE' },
  ),
  bound('pod-bridge-interface', 'detectLocal.bridgeInterface', rules, 'For BridgeInterface: the bridge', name),
  bound(
    'pod-interface-name-prefix',
    'detectLocal.interfaceNamePrefix',
    rules,
    "For InterfaceNamePrefix: how the pods' interfaces begin",
    { placeholder: 'PREFIX' },
  ),
  bound('masquerade-all', 'iptables.masqueradeAll', rules, 'Masquerade all traffic to cluster IPs'),
  bound('iptables-masquerade-bit', 'iptables.masqueradeBit', rules, 'Bit of the mark of what is masqueraded, 0-31'),
  bound(
    'nodeport-addresses',
    'nodePortAddresses',
    rules,
    "Addresses on which NodePorts answer, or primary; without it: all of the node's",
    cidrs,
  ),
  bound('iptables-localhost-nodeports', 'iptables.localhostNodePorts', rules, 'NodePorts answer on 127.0.0.1 (IPv4)'),
  featureGates,
];

const ipvsScheduler = bound(
  'ipvs-scheduler',
  'ipvs.scheduler',
  ipvs,
  `Of Services that choose none (default rr): ${schedulerNames.join(' ')}; sh and mh take flags: mh,mh-fallback,mh-port`,
  { placeholder: 'NAME' },
);

const ipvsFlags: readonly Flag[] = [
  ipvsScheduler,
  bound('ipvs-exclude-cidrs', 'ipvs.excludeCIDRs', ipvs, 'Virtual servers on these addresses are left alone', cidrs),
  bound('ipvs-strict-arp', 'ipvs.strictARP', ipvs, 'Answer ARP for an address on its own interface alone'),
  flag(
    'ipvs-drain-limit',
    duration,
    ipvs,
    'A TCP endpoint that goes keeps its connections for this long at most; 0: until they end (default 1h)',
  ),
  bound('ipvs-sync-period', 'ipvs.syncPeriod', ipvs, 'Pause between two looks at everything in the kernel'),
  bound('ipvs-min-sync-period', 'ipvs.minSyncPeriod', ipvs, 'Pause between two syncs'),
  bound('ipvs-tcp-timeout', 'ipvs.tcpTimeout', ipvs, "Timeout of idle TCP connections; 0: the kernel's stays"),
  bound('ipvs-tcpfin-timeout', 'ipvs.tcpFinTimeout', ipvs, 'Timeout of TCP connections after a FIN'),
  bound('ipvs-udp-timeout', 'ipvs.udpTimeout', ipvs, 'Timeout of UDP flows'),
];

const logFlags: readonly Flag[] = [
  bound('v', 'logging.verbosity', logging, 'Verbosity: 4 debug, 6 trace', { short: 'v' }),
  bound('logging-format', 'logging.format', logging, 'text or json', { placeholder: 'FORMAT' }),
];

const version = flag('version', text, other, 'Print the version', { valueOnlyAfterEquals: true, placeholder: '' });
const help = flag('help', bool, other, 'Print this', { short: 'h' });

const serverFlags: readonly Flag[] = [
  bound(
    'healthz-bind-address',
    'healthzBindAddress',
    servers,
    'Where /healthz and /livez answer (default 0.0.0.0:10256)',
    address,
  ),
  flag('healthz-port', integer, servers, 'Deprecated: the port of the same; 0 turns it off', { placeholder: 'PORT' }),
  bound(
    'metrics-bind-address',
    'metricsBindAddress',
    servers,
    'Where /metrics and /proxyMode answer (default 127.0.0.1:10249)',
    address,
  ),
  flag('metrics-port', integer, servers, 'Deprecated: the port of the same', { placeholder: 'PORT' }),
  bound(
    'bind-address-hard-fail',
    'bindAddressHardFail',
    servers,
    'Exit where a server cannot listen, instead of trying again every 5 s',
  ),
];

const kernelFlags: readonly Flag[] = [
  bound(
    'conntrack-max-per-core',
    'conntrack.maxPerCore',
    kernel,
    'Tracked connections for each CPU, never fewer than now; 0: as it is',
  ),
  bound('conntrack-min', 'conntrack.min', kernel, 'Tracked connections at least, whatever the CPUs'),
  bound(
    'conntrack-tcp-timeout-established',
    'conntrack.tcpEstablishedTimeout',
    kernel,
    'Timeout of idle TCP connections; 0: as it is',
  ),
  bound(
    'conntrack-tcp-timeout-close-wait',
    'conntrack.tcpCloseWaitTimeout',
    kernel,
    'Timeout of TCP connections in CLOSE_WAIT; 0: as it is',
  ),
  bound(
    'conntrack-tcp-be-liberal',
    'conntrack.tcpBeLiberal',
    kernel,
    'Packets outside of the TCP window are not dropped',
  ),
  bound('conntrack-udp-timeout', 'conntrack.udpTimeout', kernel, 'Timeout of UDP flows without an answer; 0: as it is'),
  bound(
    'conntrack-udp-timeout-stream',
    'conntrack.udpStreamTimeout',
    kernel,
    'Timeout of UDP flows with answers; 0: as it is',
  ),
  bound('oom-score-adj', 'oomScoreAdj', kernel, 'How soon it is killed where memory runs out, -1000 to 1000'),
];

const idleFlags: readonly Flag[] = [
  bound('profiling', 'enableProfiling', idle, 'Profiles at /debug/pprof'),
  bound('show-hidden-metrics-for-version', 'showHiddenMetricsForVersion', idle, 'Hidden metrics, too'),
  bound('vmodule', 'logging.vmodule', idle, 'Verbosity by source file'),
];

/** Flags about what vipwire does not have: a log buffer, a client's rate limit, resyncs, cAdvisor. */
const idleByDesignFlags: readonly Flag[] = [
  bound('kube-api-content-type', 'clientConnection.contentType', idleByDesign, 'Encoding of requests', {
    placeholder: 'TYPE',
  }),
  bound('kube-api-qps', 'clientConnection.qps', idleByDesign, 'Requests a second'),
  bound('kube-api-burst', 'clientConnection.burst', idleByDesign, 'Requests at once'),
  bound('config-sync-period', 'configSyncPeriod', idleByDesign, 'Pause between replays of what was listed'),
  bound('log-flush-frequency', 'logging.flushFrequency', idleByDesign, 'Pause between flushes of the log'),
  ...['log-text-split-stream', 'log-json-split-stream'].map((name) =>
    flag(name, bool, idleByDesign, 'Errors to stderr, the rest to stdout'),
  ),
  ...['log-text-info-buffer-size', 'log-json-info-buffer-size'].map((name) =>
    flag(name, text, idleByDesign, 'Buffer of a split log', { placeholder: 'SIZE' }),
  ),
  flag('boot-id-file', text, idleByDesign, 'Where a boot ID may be', file),
  flag('machine-id-file', text, idleByDesign, 'Where a machine ID may be', file),
];

export const runFlags: readonly Flag[] = [
  config,
  kubeconfig,
  master,
  bound('hostname-override', 'hostnameOverride', node, "This node's name, in the place of the host's", name),
  bindAddress,
  ...ruleFlags,
  bound('iptables-sync-period', 'iptables.syncPeriod', rules, 'What failed is tried again after this at the latest'),
  bound('iptables-min-sync-period', 'iptables.minSyncPeriod', rules, 'Pause between two syncs'),
  ...ipvsFlags,
  ...serverFlags,
  ...logFlags,
  flag('manifests', list, own, 'Files or folders in the place of an API server', { placeholder: 'PATH,...' }),
  flag('watch', bool, own, 'Follow changes of --manifests'),
  flag('dry-run', bool, own, 'Print every batch that would be applied, and touch nothing'),
  iptablesVariant,
  flag('cleanup', bool, other, "Remove vipwire's and kube-proxy's rules, and exit: as vipwire cleanup"),
  flag(
    'init-only',
    bool,
    other,
    "Load modules and write the kernel's settings, and exit: for a privileged init container",
  ),
  version,
  help,
  flag('write-config-to', text, refused, 'Write the configuration in effect and exit', file),
  ...kernelFlags,
  ...idleFlags,
  ...idleByDesignFlags,
];

export const renderFlags: readonly Flag[] = [
  flag('filename', list, cluster, 'Files or folders; - is standard input', { short: 'f', placeholder: 'PATH,...' }),
  { ...kubeconfig, help: 'Ask this API server' },
  master,
  { ...config, group: rules },
  flag('node', text, node, 'Whose rules; without it the only Node there is, or a node without pods', name),
  { ...bindAddress, help: "In the place of this node's address" },
  flag('output', text, own, 'rules, json or summary (default rules)', { short: 'o', placeholder: 'FORMAT' }),
  flag('ip-family', text, own, 'IPv4, IPv6 or dual (default dual)', { placeholder: 'FAMILY' }),
  ...ruleFlags,
  ipvsScheduler,
  ...logFlags,
  help,
];

export const cleanupFlags: readonly Flag[] = [
  iptablesVariant,
  { ...config, group: logging, help: 'For its logging fields' },
  ...logFlags,
  help,
];
