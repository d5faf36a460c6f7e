/**
 * Every field of KubeProxyConfiguration (group kubeproxy.config.k8s.io, version v1alpha1) with its type and default: the
 * one table behind the file's decoder, the flags that are bound to fields, and the warning about what has no effect yet.
 */
import { anything, bool, decimal, duration, integer, list, switches, text } from './value-kinds';
import type { ValueKind } from './value-kinds';

/**
 * What vipwire does with a field: acts on it; quietly has no use for it (it tunes something of kube-proxy's own making);
 * or accepts it and says that it is not acted on yet.
 */
type FieldUse = 'acts' | 'quiet' | 'later';

export interface Field<T> {
  readonly kind: ValueKind<T>;
  readonly initial: T;
  readonly use: FieldUse;
  /** An explicit zero (false, 0, '') is a setting. For other fields it means "the default", as in Go's structs without pointers. */
  readonly zeroCounts: boolean;
}

function acts<T>(kind: ValueKind<T>, initial: T, options?: { readonly zeroCounts: true }): Field<T> {
  return { kind, initial, use: 'acts', zeroCounts: options?.zeroCounts ?? false };
}
function quiet<T>(kind: ValueKind<T>, initial: T): Field<T> {
  return { kind, initial, use: 'quiet', zeroCounts: false };
}
function later<T>(kind: ValueKind<T>, initial: T): Field<T> {
  return { kind, initial, use: 'later', zeroCounts: false };
}
const zeroCounts = { zeroCounts: true } as const;
const seconds = 1000;
const minutes = 60 * seconds;
const hours = 60 * minutes;

export const fields = {
  featureGates: acts(switches, {}),
  'clientConnection.kubeconfig': acts(text, ''),
  'clientConnection.acceptContentTypes': quiet(text, ''),
  'clientConnection.contentType': quiet(text, 'application/vnd.kubernetes.protobuf'),
  'clientConnection.qps': quiet(decimal, 5),
  'clientConnection.burst': quiet(integer, 10),
  hostnameOverride: acts(text, ''),
  bindAddress: acts(text, '0.0.0.0'),
  // The empty default stands for a wildcard or loopback address of bindAddress's family.
  healthzBindAddress: acts(text, ''),
  metricsBindAddress: acts(text, ''),
  bindAddressHardFail: acts(bool, false),
  enableProfiling: later(bool, false),
  showHiddenMetricsForVersion: later(text, ''),
  mode: acts(text, 'iptables'),
  'iptables.masqueradeBit': acts(integer, 14, zeroCounts),
  'iptables.masqueradeAll': acts(bool, false),
  'iptables.localhostNodePorts': acts(bool, true, zeroCounts),
  'iptables.syncPeriod': acts(duration, 30 * seconds),
  'iptables.minSyncPeriod': acts(duration, seconds),
  'ipvs.syncPeriod': acts(duration, 30 * seconds),
  // kube-proxy's default is 1 s by flags and 0 by file.
  'ipvs.minSyncPeriod': acts(duration, seconds, zeroCounts),
  'ipvs.scheduler': acts(text, ''),
  'ipvs.excludeCIDRs': acts(list, []),
  'ipvs.strictARP': acts(bool, false),
  'ipvs.tcpTimeout': acts(duration, 0),
  'ipvs.tcpFinTimeout': acts(duration, 0),
  'ipvs.udpTimeout': acts(duration, 0),
  'nftables.masqueradeBit': later(integer, 14),
  'nftables.masqueradeAll': later(bool, false),
  'nftables.syncPeriod': later(duration, 30 * seconds),
  'nftables.minSyncPeriod': later(duration, seconds),
  detectLocalMode: acts(text, 'ClusterCIDR'),
  'detectLocal.bridgeInterface': acts(text, ''),
  'detectLocal.interfaceNamePrefix': acts(text, ''),
  clusterCIDR: acts(text, ''),
  nodePortAddresses: acts(list, []),
  oomScoreAdj: acts(integer, -999, zeroCounts),
  'conntrack.maxPerCore': acts(integer, 32768, zeroCounts),
  'conntrack.min': acts(integer, 131072, zeroCounts),
  'conntrack.tcpEstablishedTimeout': acts(duration, 24 * hours, zeroCounts),
  'conntrack.tcpCloseWaitTimeout': acts(duration, hours, zeroCounts),
  'conntrack.tcpBeLiberal': acts(bool, false),
  'conntrack.udpTimeout': acts(duration, 0),
  'conntrack.udpStreamTimeout': acts(duration, 0),
  configSyncPeriod: quiet(duration, 15 * minutes),
  'logging.format': acts(text, 'text'),
  'logging.verbosity': acts(integer, 0),
  'logging.vmodule': later(anything, ''),
  'logging.flushFrequency': quiet(anything, '5s'),
  'logging.options': quiet(anything, ''),
  portRange: quiet(text, ''),
  windowsRunAsService: quiet(bool, false),
  winkernel: quiet(anything, ''),
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

/** What is set, has no effect yet, and would have one in kube-proxy; as `conntrack.min`. */
export function withoutEffectYet(settings: Settings): FieldPath[] {
  return fieldPaths.filter((path) => {
    const { use, initial } = fieldAt(path);
    const value = settings[path];
    return use === 'later' && !isZero(value) && JSON.stringify(value) !== JSON.stringify(initial);
  });
}
