/** What a configuration that comes in the place of another asks of a daemon that runs. Pure. */
import { sameValue } from '../model/same-value';
import type { ProxyConfiguration } from './configuration';
import type { EffectiveConfiguration } from './effective';
import { fieldPaths } from './fields';
import type { FieldPath, Settings } from './fields';

/**
 * Parts of the daemon: `planning` and `schedule` take hold with the next round, `machine` is opened anew and takes over what is in
 * the kernel, `restart` is beyond a process that runs.
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

/** Fields whose new values wait for a restart. */
export const restartFields: readonly FieldPath[] = ['clientConnection.kubeconfig', 'hostnameOverride'];

/** Parts for which the two differ. */
export function diffConfigurations(now: ProxyConfiguration, next: ProxyConfiguration): ReadonlySet<Part> {
  const keys = Object.keys(partsOf) as (keyof ProxyConfiguration)[];
  const parts = new Set(keys.filter((key) => !sameValue(now[key], next[key])).flatMap((key) => partsOf[key]));
  // Rules depend on it.
  if (now.conntrack.tcpBeLiberal !== next.conntrack.tcpBeLiberal) parts.add('machine');
  return parts;
}

/** Fields that are set to something else, set or unset. */
export function diffSettings(now: Settings, next: Settings): FieldPath[] {
  return fieldPaths.filter((path) => !sameValue(now[path], next[path]));
}

/** With what takes a restart as it was at the start. */
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
