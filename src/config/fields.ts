/**
 * Every field of KubeProxyConfiguration (group kubeproxy.config.k8s.io, version v1alpha1) with its type, default and meaning.
 * The decoder of the file, the flags that are bound to fields, the help texts, and the warnings about fields without effect all
 * use this one table.
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
  type ValueKind,
  vmodule,
} from './value-kinds';

export interface Field<T> {
  readonly kind: ValueKind<T>;
  readonly initial: T;
  /** Its meaning, for help texts and `vipwire config check`. */
  readonly about: string;
  /** Why the field is accepted without effect. '' when it has an effect. */
  readonly idle: string;
  /** Whether an explicit zero (false, 0, '') is a setting. For other fields it means "the default", as in Go's structs without pointers. */
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

const later = 'this version of vipwire does not have it yet';
const windows = 'only for Windows';
const noRateLimit = 'vipwire sends a few requests at the start and then watches, so it has no rate limit';
const noLogBuffer = 'each line is written at once, to stderr';
const onlyJson = 'vipwire always asks for JSON';

const table = {
  featureGates: acts(
    switches,
    {},
    'AllowServiceExternalIPs=false ignores external IPs; other gates have no effect here',
  ),
  'clientConnection.kubeconfig': acts(
    text,
    '',
    'How to reach the API server. Without it and without --master: in-cluster credentials',
  ),
  'clientConnection.acceptContentTypes': idle(onlyJson, text, '', 'Encoding of answers'),
  'clientConnection.contentType': idle(onlyJson, text, 'application/vnd.kubernetes.protobuf', 'Encoding of requests'),
  'clientConnection.qps': idle(noRateLimit, decimal, 5, 'Requests per second'),
  'clientConnection.burst': idle(noRateLimit, integer, 10, 'Requests at once'),
  hostnameOverride: acts(text, '', "This node's name instead of the host's name"),
  bindAddress: acts(
    text,
    '0.0.0.0',
    "Used instead of this node's address: it decides the primary family; nothing listens on it",
  ),
  // The empty default means a wildcard or loopback address of bindAddress's family.
  healthzBindAddress: acts(text, '', 'Address of /healthz and /livez (default 0.0.0.0:10256)'),
  metricsBindAddress: acts(text, '', 'Address of /metrics and /proxyMode (default 127.0.0.1:10249)'),
  bindAddressHardFail: acts(bool, false, 'Exit when a server cannot listen, instead of trying again every 5 s'),
  enableProfiling: acts(bool, false, 'CPU profiles at /debug/cpuprofile?seconds=N, and PUT /debug/flags/v'),
  showHiddenMetricsForVersion: idle(later, text, '', 'Also show the metrics that are hidden since this version'),
  mode: acts(text, 'iptables', 'How the kernel is programmed: iptables, ipvs or nftables'),
  'iptables.masqueradeBit': acts(integer, 14, 'Bit of the packet mark that asks for masquerading, 0-31', zeroCounts),
  'iptables.masqueradeAll': acts(bool, false, 'Masquerade all traffic to cluster IPs'),
  'iptables.localhostNodePorts': acts(
    bool,
    true,
    'Serve NodePorts on 127.0.0.1 too (IPv4), and in nftables mode TCP on ::1, where nodePortAddresses has them',
    zeroCounts,
  ),
  'iptables.syncPeriod': acts(duration, 30 * seconds, 'Longest time until a failed sync is tried again'),
  'iptables.minSyncPeriod': acts(duration, seconds, 'Shortest time between two syncs'),
  'ipvs.syncPeriod': acts(duration, 30 * seconds, 'Time between two checks of everything in the kernel'),
  // In a configuration file the default is 0: see complete.ts.
  'ipvs.minSyncPeriod': acts(duration, seconds, 'Shortest time between two syncs'),
  'ipvs.scheduler': acts(
    text,
    '',
    'For Services that choose none (default rr); sh and mh take flags: mh,mh-fallback,mh-port',
  ),
  'ipvs.excludeCIDRs': acts(cidrList, [], 'Virtual servers on these addresses are left alone'),
  'ipvs.strictARP': acts(bool, false, 'Answer ARP for an address only on the interface that has it'),
  'ipvs.tcpTimeout': acts(duration, 0, "Timeout of idle TCP connections; 0 keeps the kernel's value"),
  'ipvs.tcpFinTimeout': acts(duration, 0, "Timeout of TCP connections after a FIN; 0 keeps the kernel's value"),
  'ipvs.udpTimeout': acts(duration, 0, "Timeout of UDP flows; 0 keeps the kernel's value"),
  'nftables.masqueradeBit': acts(integer, 14, 'Bit of the packet mark that asks for masquerading, 0-31', zeroCounts),
  'nftables.masqueradeAll': acts(bool, false, 'Masquerade all traffic to cluster IPs'),
  'nftables.syncPeriod': acts(duration, 30 * seconds, 'Longest time until a failed sync is tried again'),
  'nftables.minSyncPeriod': acts(duration, seconds, 'Shortest time between two syncs'),
  detectLocalMode: acts(
    text,
    'ClusterCIDR',
    "How traffic of this node's pods is recognised: ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix",
  ),
  'detectLocal.bridgeInterface': acts(text, '', 'For BridgeInterface: name of the bridge'),
  'detectLocal.interfaceNamePrefix': acts(text, '', "For InterfaceNamePrefix: prefix of the pods' interface names"),
  clusterCIDR: acts(text, '', "The pods' addresses, one CIDR per family"),
  nodePortAddresses: acts(
    cidrList,
    [],
    "Addresses that serve NodePorts: CIDRs, and primary, localhost or all (default: all of the node's addresses; in nftables mode primary)",
  ),
  oomScoreAdj: acts(integer, -999, 'How likely the kernel kills it when memory runs out, -1000 to 1000', zeroCounts),
  'conntrack.maxPerCore': acts(
    integer,
    32768,
    'Tracked connections per CPU; the limit is never lowered; 0 keeps it',
    zeroCounts,
  ),
  'conntrack.min': acts(integer, 131072, 'Least limit of tracked connections, however few CPUs there are', zeroCounts),
  'conntrack.tcpEstablishedTimeout': acts(
    duration,
    24 * hours,
    "Timeout of idle TCP connections; 0 keeps the kernel's value",
    zeroCounts,
  ),
  'conntrack.tcpCloseWaitTimeout': acts(
    duration,
    hours,
    "Timeout of TCP connections in CLOSE_WAIT; 0 keeps the kernel's value",
    zeroCounts,
  ),
  'conntrack.tcpBeLiberal': acts(bool, false, 'Do not drop packets that are outside the TCP window'),
  'conntrack.udpTimeout': acts(duration, 0, "Timeout of UDP flows without an answer; 0 keeps the kernel's value"),
  'conntrack.udpStreamTimeout': acts(duration, 0, "Timeout of UDP flows with answers; 0 keeps the kernel's value"),
  configSyncPeriod: idle(
    'vipwire keeps what it listed and watches for changes, so it replays nothing',
    duration,
    15 * minutes,
    'Time between replays of the listed objects',
  ),
  'logging.format': acts(text, 'text', 'text or json'),
  'logging.verbosity': acts(integer, 0, 'Verbosity of the log: 4 is debug, 6 is trace'),
  'logging.vmodule': idle(
    "vipwire's source files have other names than kube-proxy's",
    vmodule,
    [],
    'Verbosity by source file',
  ),
  'logging.flushFrequency': idle(noLogBuffer, logPeriod, 5 * seconds, 'Time between flushes of the log'),
  'logging.options.text.splitStream': idle(noLogBuffer, bool, false, 'Errors to stderr, the rest to stdout'),
  'logging.options.text.infoBufferSize': idle(noLogBuffer, quantity, 0, 'Buffer of a split log'),
  'logging.options.json.splitStream': idle(noLogBuffer, bool, false, 'Errors to stderr, the rest to stdout'),
  'logging.options.json.infoBufferSize': idle(noLogBuffer, quantity, 0, 'Buffer of a split log'),
  portRange: idle('only for the userspace mode, which kube-proxy had until 1.25', text, '', 'Ports of userspace mode'),
  windowsRunAsService: idle(windows, bool, false, 'Run under the Windows service manager'),
  'winkernel.networkName': idle(windows, text, '', 'Name of the HNS network'),
  'winkernel.sourceVip': idle(windows, text, '', 'Source address of load-balanced traffic'),
  'winkernel.enableDSR': idle(windows, bool, false, 'Direct server return'),
  'winkernel.rootHnsEndpointName': idle(windows, text, '', "The host's HNS endpoint"),
  'winkernel.forwardHealthCheckVip': idle(windows, bool, false, "Forward a load balancer's health checks"),
} as const;

export type FieldPath = keyof typeof table;
/** The type of each field's value. */
export type FieldValues = { readonly [P in FieldPath]: (typeof table)[P] extends Field<infer T> ? T : never };
/** The paths of all fields whose value is a number. */
export type NumberPath = { [P in FieldPath]: FieldValues[P] extends number ? P : never }[FieldPath];

/** The table, with a type that ties each path to the type of its value. */
export const fields: { readonly [P in FieldPath]: Field<FieldValues[P]> } = table;

/** The fields that a file or flags set. Other fields are absent. Durations are in milliseconds. */
export type Settings = { readonly [P in FieldPath]?: FieldValues[P] };

export function isFieldPath(path: string): path is FieldPath {
  return Object.hasOwn(fields, path);
}

export const fieldPaths: readonly FieldPath[] = Object.keys(fields).filter(isFieldPath);

export function fieldAt(path: FieldPath): Field<unknown> {
  return fields[path];
}

/** Whether the value is the zero value of its type in Go, which means that nothing was set. */
export function isZero(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0;
  return value === undefined || value === null || value === false || value === 0 || value === '';
}

/** The fields that are set to another value than their default. */
export function changedFields(settings: Settings): FieldPath[] {
  return fieldPaths.filter((path) => {
    const value = settings[path];
    return value !== undefined && JSON.stringify(value) !== JSON.stringify(fieldAt(path).initial);
  });
}

/** The fields that are set, have an effect in kube-proxy, and have none in vipwire. */
export function idleFields(settings: Settings): FieldPath[] {
  return changedFields(settings).filter((path) => {
    const value: unknown = settings[path];
    // vipwire uses JSON anyway.
    const isJson = path.startsWith('clientConnection.') && value === 'application/json';
    return fieldAt(path).idle !== '' && !isZero(value) && !isJson;
  });
}
