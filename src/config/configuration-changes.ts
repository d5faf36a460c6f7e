/** What a running daemon must do when its configuration is replaced. Pure. */
import { sameValue } from '../model/same-value';
import type { ProxyConfiguration } from './configuration';
import type { EffectiveConfiguration } from './effective';
import { type FieldPath, fieldPaths, type Settings } from './fields';

/**
 * Parts of the daemon. Changes to `planning` and `schedule` take effect with the next round. A change to `machine` opens a new
 * machine, which takes over what is in the kernel. A change to `restart` takes effect only in a new process.
 */
export type Part = 'log' | 'planning' | 'schedule' | 'kernel' | 'machine' | 'servers' | 'restart';

const partsOf: Readonly<Record<keyof ProxyConfiguration, readonly Part[]>> = {
  mode: ['planning', 'schedule', 'machine'],
  kubeconfig: ['restart'],
  master: ['restart'],
  hostnameOverride: ['restart'],
  bindAddress: ['planning'],
  healthzBindAddress: ['servers'],
  metricsBindAddress: ['servers'],
  bindAddressHardFail: ['servers'],
  masqueradeBit: ['machine'],
  masqueradeAll: ['planning'],
  localhostNodePorts: ['planning', 'kernel'],
  syncPeriodMs: ['schedule'],
  minSyncPeriodMs: ['schedule'],
  ipvs: ['machine'],
  conntrack: ['kernel'],
  oomScoreAdj: ['kernel'],
  enableProfiling: ['servers'],
  showHiddenMetrics: ['servers'],
  detectLocalMode: ['planning', 'kernel'],
  clusterCIDRs: ['planning'],
  bridgeInterface: ['planning'],
  interfaceNamePrefix: ['planning'],
  nodePortAddresses: ['planning', 'kernel'],
  allowServiceExternalIPs: ['planning'],
  logging: ['log'],
};

/** Fields whose new values take effect only after a restart. */
export const restartFields: readonly FieldPath[] = ['clientConnection.kubeconfig', 'hostnameOverride'];

function isKey(name: string): name is keyof ProxyConfiguration {
  return name in partsOf;
}

/** Returns the parts whose configuration differs. */
export function diffConfigurations(now: ProxyConfiguration, next: ProxyConfiguration): ReadonlySet<Part> {
  const keys = Object.keys(partsOf).filter(isKey);
  const parts = new Set(keys.filter((key) => !sameValue(now[key], next[key])).flatMap((key) => partsOf[key]));
  // The rules depend on it.
  if (now.conntrack.tcpBeLiberal !== next.conntrack.tcpBeLiberal) parts.add('machine');
  return parts;
}

/** Returns the fields that were set, unset, or set to another value. */
export function diffSettings(now: Settings, next: Settings): FieldPath[] {
  return fieldPaths.filter((path) => !sameValue(now[path], next[path]));
}

/** Returns `next`, but with the values at the start for the fields that need a restart. */
export function withoutRestart(start: EffectiveConfiguration, next: EffectiveConfiguration): EffectiveConfiguration {
  const { kubeconfig, master, hostnameOverride } = start.configuration;
  const isOfStart = ([path]: readonly [string, unknown]): boolean => restartFields.some((field) => field === path);
  const settings = [
    ...Object.entries(next.settings).filter((each) => !isOfStart(each)),
    ...Object.entries(start.settings).filter(isOfStart),
  ];
  return {
    ...next,
    configuration: { ...next.configuration, kubeconfig, master, hostnameOverride },
    settings: Object.fromEntries(settings),
  };
}
