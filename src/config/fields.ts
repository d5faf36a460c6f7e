/**
 * Every field of KubeProxyConfiguration (group kubeproxy.config.k8s.io, version v1alpha1) with its type, default and meaning:
 * the one table behind the file's decoder, the flags that are bound to fields, help texts, and what is said of fields that
 * have no effect here.
 */
import {
  bool,
  cidrList,
  decimal,
  duration,
  integer,
  logPeriod,
  quantity,
  switches,
  text,
  vmodule,
} from './value-kinds';
import type { ValueKind } from './value-kinds';

export interface Field<T> {
  readonly kind: ValueKind<T>;
  readonly initial: T;
  /** For help texts and `vipwire config check`. */
  readonly about: string;
  /** Why it is accepted without effect; '': it has one. */
  readonly idle: string;
  /** An explicit zero (false, 0, '') is a setting. For other fields it means "the default", as in Go's structs without pointers. */
  readonly zeroCounts: boolean;
}

function acts<T>(kind: ValueKind<T>, initial: T, about: string, options?: { readonly zeroCounts: true }): Field<T> {
  return { kind, initial, about, idle: '', zeroCounts: options?.zeroCounts ?? false };
}
function idle<T>(why: string, kind: ValueKind<T>, initial: T, about: string): Field<T> {
  return { ...acts(kind, initial, about), idle: why };
}
const zeroCounts = { zeroCounts: true } as const;
const seconds = 1000;
const minutes = 60 * seconds;
const hours = 60 * minutes;

const later = 'not there yet in this version of vipwire';
const noNftables = 'mode nftables is not there yet in this version of vipwire';
const windows = 'for Windows';
const noRateLimit = "vipwire's client sends a few requests at start and then watches: it has no limit to tune";
const noLogBuffer = 'each line is written at once, to stderr';

export const fields = {
  featureGates: acts(
    switches,
    {},
    'AllowServiceExternalIPs=false ignores external IPs; other gates have no effect here',
  ),
  'clientConnection.kubeconfig': acts(
    text,
    '',
    'How to reach the API server; without it and --master: in-cluster credentials',
  ),
  'clientConnection.acceptContentTypes': idle('requests are for JSON', text, '', 'Encoding of answers'),
  'clientConnection.contentType': idle(
    'requests are for JSON',
    text,
    'application/vnd.kubernetes.protobuf',
    'Encoding of requests',
  ),
  'clientConnection.qps': idle(noRateLimit, decimal, 5, 'Requests a second'),
  'clientConnection.burst': idle(noRateLimit, integer, 10, 'Requests at once'),
  hostnameOverride: acts(text, '', "This node's name, in the place of the host's"),
  bindAddress: acts(
    text,
    '0.0.0.0',
    "In the place of this node's address; it decides the primary family and is never bound",
  ),
  // The empty default stands for a wildcard or loopback address of bindAddress's family.
  healthzBindAddress: acts(text, '', 'Where /healthz and /livez answer (default 0.0.0.0:10256)'),
  metricsBindAddress: acts(text, '', 'Where /metrics and /proxyMode answer (default 127.0.0.1:10249)'),
  bindAddressHardFail: acts(bool, false, 'Exit where a server cannot listen, instead of trying again every 5 s'),
  enableProfiling: acts(bool, false, 'CPU profiles at /debug/cpuprofile?seconds=N, and PUT /debug/flags/v'),
  showHiddenMetricsForVersion: idle(later, text, '', 'Metrics hidden since that version, too'),
  mode: acts(text, 'iptables', 'How the kernel is programmed: iptables or ipvs'),
  'iptables.masqueradeBit': acts(integer, 14, 'Bit of the mark of what is masqueraded, 0-31', zeroCounts),
  'iptables.masqueradeAll': acts(bool, false, 'Masquerade all traffic to cluster IPs'),
  'iptables.localhostNodePorts': acts(bool, true, 'NodePorts answer on 127.0.0.1 (IPv4)', zeroCounts),
  'iptables.syncPeriod': acts(duration, 30 * seconds, 'What failed is tried again after this at the latest'),
  'iptables.minSyncPeriod': acts(duration, seconds, 'Pause between two syncs'),
  'ipvs.syncPeriod': acts(duration, 30 * seconds, 'Pause between two looks at everything in the kernel'),
  // By a file it is 0: see complete.ts.
  'ipvs.minSyncPeriod': acts(duration, seconds, 'Pause between two syncs'),
  'ipvs.scheduler': acts(
    text,
    '',
    'Of Services that choose none (default rr); sh and mh take flags: mh,mh-fallback,mh-port',
  ),
  'ipvs.excludeCIDRs': acts(cidrList, [], 'Virtual servers on these addresses are left alone'),
  'ipvs.strictARP': acts(bool, false, 'Answer ARP for an address on its own interface alone'),
  'ipvs.tcpTimeout': acts(duration, 0, "Timeout of idle TCP connections; 0: the kernel's stays"),
  'ipvs.tcpFinTimeout': acts(duration, 0, 'Timeout of TCP connections after a FIN'),
  'ipvs.udpTimeout': acts(duration, 0, 'Timeout of UDP flows'),
  'nftables.masqueradeBit': {
    ...idle(noNftables, integer, 14, 'Bit of the mark of what is masqueraded, 0-31'),
    ...zeroCounts,
  },
  'nftables.masqueradeAll': idle(noNftables, bool, false, 'Masquerade all traffic to cluster IPs'),
  'nftables.syncPeriod': idle(
    noNftables,
    duration,
    30 * seconds,
    'What failed is tried again after this at the latest',
  ),
  'nftables.minSyncPeriod': idle(noNftables, duration, seconds, 'Pause between two syncs'),
  detectLocalMode: acts(
    text,
    'ClusterCIDR',
    "How this node's pods are told from others: ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix",
  ),
  'detectLocal.bridgeInterface': acts(text, '', 'For BridgeInterface: the bridge'),
  'detectLocal.interfaceNamePrefix': acts(text, '', "For InterfaceNamePrefix: how the pods' interfaces begin"),
  clusterCIDR: acts(text, '', "The pods' addresses, one CIDR a family"),
  nodePortAddresses: acts(
    cidrList,
    [],
    "Addresses on which NodePorts answer, or primary; without it: all of the node's",
  ),
  oomScoreAdj: acts(integer, -999, 'How soon it is killed where memory runs out, -1000 to 1000', zeroCounts),
  'conntrack.maxPerCore': acts(
    integer,
    32768,
    'Tracked connections for each CPU, never fewer than now; 0: as it is',
    zeroCounts,
  ),
  'conntrack.min': acts(integer, 131072, 'Tracked connections at least, whatever the CPUs', zeroCounts),
  'conntrack.tcpEstablishedTimeout': acts(
    duration,
    24 * hours,
    'Timeout of idle TCP connections; 0: as it is',
    zeroCounts,
  ),
  'conntrack.tcpCloseWaitTimeout': acts(
    duration,
    hours,
    'Timeout of TCP connections in CLOSE_WAIT; 0: as it is',
    zeroCounts,
  ),
  'conntrack.tcpBeLiberal': acts(bool, false, 'Packets outside of the TCP window are not dropped'),
  'conntrack.udpTimeout': acts(duration, 0, 'Timeout of UDP flows without an answer; 0: as it is'),
  'conntrack.udpStreamTimeout': acts(duration, 0, 'Timeout of UDP flows with answers; 0: as it is'),
  configSyncPeriod: idle(
    'nothing is replayed: what was listed stays, and is followed',
    duration,
    15 * minutes,
    'Pause between replays of what was listed',
  ),
  'logging.format': acts(text, 'text', 'text or json'),
  'logging.verbosity': acts(integer, 0, 'Verbosity: 4 debug, 6 trace'),
  'logging.vmodule': idle("vipwire's source files are not kube-proxy's", vmodule, [], 'Verbosity by source file'),
  'logging.flushFrequency': idle(noLogBuffer, logPeriod, 5 * seconds, 'Pause between flushes of the log'),
  'logging.options.text.splitStream': idle(noLogBuffer, bool, false, 'Errors to stderr, the rest to stdout'),
  'logging.options.text.infoBufferSize': idle(noLogBuffer, quantity, 0, 'Buffer of a split log'),
  'logging.options.json.splitStream': idle(noLogBuffer, bool, false, 'Errors to stderr, the rest to stdout'),
  'logging.options.json.infoBufferSize': idle(noLogBuffer, quantity, 0, 'Buffer of a split log'),
  portRange: idle('for the userspace mode that kube-proxy had until 1.25', text, '', "The userspace mode's ports"),
  windowsRunAsService: idle(windows, bool, false, 'Run under the Windows service manager'),
  'winkernel.networkName': idle(windows, text, '', 'HNS network'),
  'winkernel.sourceVip': idle(windows, text, '', 'Source of load-balanced traffic'),
  'winkernel.enableDSR': idle(windows, bool, false, 'Direct server return'),
  'winkernel.rootHnsEndpointName': idle(windows, text, '', "The host's HNS endpoint"),
  'winkernel.forwardHealthCheckVip': idle(windows, bool, false, "Forward a load balancer's health checks"),
} as const;

export type FieldPath = keyof typeof fields;
type FieldValue<P extends FieldPath> = (typeof fields)[P] extends Field<infer T> ? T : never;

/** What somebody set, by a file or by flags; what nobody set is absent. Durations are in milliseconds. */
export type Settings = { readonly [P in FieldPath]?: FieldValue<P> };

export const fieldPaths = Object.keys(fields) as FieldPath[];

export function fieldAt(path: FieldPath): Field<unknown> {
  return fields[path];
}

/** Go's zero value of a type: nothing set. */
export function isZero(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0;
  return value === undefined || value === null || value === false || value === 0 || value === '';
}

/** What is set to something else than the default. */
export function changedFields(settings: Settings): FieldPath[] {
  return fieldPaths.filter((path) => {
    const value = settings[path];
    return value !== undefined && JSON.stringify(value) !== JSON.stringify(fieldAt(path).initial);
  });
}

/** What is set, would have an effect in kube-proxy, and has none here. */
export function idleFields(settings: Settings): FieldPath[] {
  return changedFields(settings).filter((path) => {
    const value: unknown = settings[path];
    // It is what is done anyway.
    const isJson = path.startsWith('clientConnection.') && value === 'application/json';
    return fieldAt(path).idle !== '' && !isZero(value) && !isJson;
  });
}
