/** Makes the configuration in effect from the settings: fills in defaults, checks values and converts units. */
import { familyOf, formatCidr, parseAddress, parseCidr } from '../model/address';
import { suggest } from '../model/nearest-name';
import type { ProxyMode } from '../model/proxy-mode';
import { parseScheduler, type Scheduler, schedulerNames } from '../model/scheduler';
import { Checks, type Problem } from './checks';
import { completeDetectLocal } from './complete-detect-local';
import { completeMode, completeModeSettings } from './complete-mode';
import type { ConntrackConfiguration, IpvsConfiguration, ProxyConfiguration } from './configuration';
import { fieldAt, type FieldPath, fieldPaths, type Settings } from './fields';
import { lineProblem, textsIn } from './texts';

const defaultHealthzPort = 10256;
const defaultMetricsPort = 10249;

export interface CompletedConfiguration {
  /** To be used only when `problems` is empty. */
  readonly configuration: ProxyConfiguration;
  readonly problems: readonly Problem[];
}

function completeServers(
  checks: Checks,
): Pick<ProxyConfiguration, 'bindAddress' | 'healthzBindAddress' | 'metricsBindAddress' | 'bindAddressHardFail'> {
  const given = checks.value('bindAddress');
  const bindAddress = parseAddress(given);
  if (bindAddress === undefined) checks.problem('bindAddress', `"${given}" is not an IP address`);
  const v6 = bindAddress !== undefined && familyOf(bindAddress) === 'IPv6';
  const { healthzBindAddress: healthz, metricsBindAddress: metrics } = checks.settings;
  const metricsText = metrics ?? (v6 ? '::1' : '127.0.0.1');
  if (metricsText === '') checks.problem('metricsBindAddress', 'the metrics server cannot be turned off');
  return {
    bindAddress: bindAddress ?? '0.0.0.0',
    healthzBindAddress:
      healthz === ''
        ? undefined
        : checks.bindAddress('healthzBindAddress', healthz ?? (v6 ? '::' : '0.0.0.0'), defaultHealthzPort),
    metricsBindAddress: checks.bindAddress('metricsBindAddress', metricsText || '127.0.0.1', defaultMetricsPort),
    bindAddressHardFail: checks.value('bindAddressHardFail'),
  };
}

const lockedOn = ['MultiCIDRServiceAllocator', 'NFTablesProxyMode', 'PreferSameTrafficDistribution'];

/** Gates that vipwire acts on, and gates that are locked to true. */
const knownGates = ['AllowServiceExternalIPs', 'WatchListClient', ...lockedOn];

function completeGates(checks: Checks): boolean {
  const gates: Readonly<Record<string, boolean>> = checks.value('featureGates');
  for (const name of lockedOn) {
    if (gates[name] === false) checks.problem('featureGates', `${name} is locked to true`);
  }
  return gates['AllowServiceExternalIPs'] ?? true;
}

const alphaLogOptions = [
  'logging.options.text.splitStream',
  'logging.options.text.infoBufferSize',
  'logging.options.json.splitStream',
  'logging.options.json.infoBufferSize',
] as const;

function completeLogging(checks: Checks): ProxyConfiguration['logging'] {
  checks.notNegative('logging.verbosity');
  const format = checks.value('logging.format');
  if (format !== 'text' && format !== 'json') checks.problem('logging.format', `"${format}" is neither text nor json`);
  const vmodule = checks.settings['logging.vmodule'];
  if (format === 'json' && vmodule !== undefined) checks.problem('logging.vmodule', 'works only with the text format');
  const gates: Readonly<Record<string, boolean>> = checks.value('featureGates');
  for (const path of alphaLogOptions)
    if (checks.settings[path] && gates['LoggingAlphaOptions'] !== true)
      checks.problem(path, 'is an alpha option: it needs the feature gate LoggingAlphaOptions=true');
  return { verbosity: checks.value('logging.verbosity'), format: format === 'json' ? 'json' : 'text' };
}

/** The caller passes defaults in every mode but ipvs: kube-proxy checks this section only in mode ipvs. */
function completeIpvs(checks: Checks): IpvsConfiguration {
  const text = checks.value('ipvs.scheduler');
  // kube-proxy's mh includes the port in its hash.
  const scheduler = parseScheduler(text === '' ? 'rr' : text === 'mh' ? 'mh,mh-port' : text);
  if (scheduler === undefined)
    checks.problem('ipvs.scheduler', `there is no scheduler "${text}": use ${schedulerNames.join(', ')}`);
  const excludeCIDRs = checks.value('ipvs.excludeCIDRs').flatMap((given) => {
    const cidr = parseCidr(given);
    if (cidr === undefined) checks.problem('ipvs.excludeCIDRs', `"${given}" is not a CIDR such as 10.0.0.0/8`);
    return cidr === undefined ? [] : [formatCidr(cidr)];
  });
  const seconds = (path: 'ipvs.tcpTimeout' | 'ipvs.tcpFinTimeout' | 'ipvs.udpTimeout'): number => {
    checks.notNegative(path);
    return Math.ceil(checks.value(path) / 1000);
  };
  return {
    // The brand can only be cast: parseScheduler may return undefined as far as the type knows.
    scheduler: scheduler ?? ('rr' as Scheduler),
    excludeCIDRs,
    strictARP: checks.value('ipvs.strictARP'),
    // completeModeSettings checks it.
    checkPeriodMs: checks.value('ipvs.syncPeriod'),
    tcpTimeoutSeconds: seconds('ipvs.tcpTimeout'),
    tcpFinTimeoutSeconds: seconds('ipvs.tcpFinTimeout'),
    udpTimeoutSeconds: seconds('ipvs.udpTimeout'),
  };
}

/** Checks fields without effect here too: a configuration that passes here must also pass in kube-proxy, for a rollback. */
function checkOthers(checks: Checks): void {
  const name = checks.value('hostnameOverride');
  if (name !== '' && name.trim() === '') checks.problem('hostnameOverride', 'the name is blank');
  for (const path of fieldPaths.filter((each) => fieldAt(each).idle === ''))
    for (const text of textsIn(checks.settings[path])) {
      const what = lineProblem(text);
      if (what !== undefined && !checks.problems.some((each) => each.path === path)) checks.problem(path, what);
    }
  checks.positive('configSyncPeriod');
  checks.notNegative('clientConnection.burst');
}

function completeConntrack(checks: Checks): ConntrackConfiguration {
  checks.notNegative('conntrack.maxPerCore');
  checks.notNegative('conntrack.min');
  const seconds = (
    name: 'tcpEstablishedTimeout' | 'tcpCloseWaitTimeout' | 'udpTimeout' | 'udpStreamTimeout',
  ): number => {
    checks.notNegative(`conntrack.${name}`);
    // Truncated to whole seconds, as in Go.
    return Math.trunc(checks.value(`conntrack.${name}`) / 1000);
  };
  return {
    maxPerCore: checks.value('conntrack.maxPerCore'),
    min: checks.value('conntrack.min'),
    tcpEstablishedTimeoutSeconds: seconds('tcpEstablishedTimeout'),
    tcpCloseWaitTimeoutSeconds: seconds('tcpCloseWaitTimeout'),
    tcpBeLiberal: checks.value('conntrack.tcpBeLiberal'),
    udpTimeoutSeconds: seconds('udpTimeout'),
    udpStreamTimeoutSeconds: seconds('udpStreamTimeout'),
  };
}

/** One minor release before the kube-proxy that vipwire replaces. */
const hiddenMetricsVersion = '1.35';

function completeHiddenMetrics(checks: Checks): boolean {
  const version = checks.value('showHiddenMetricsForVersion');
  if (version !== '' && version !== hiddenMetricsVersion)
    checks.problem(
      'showHiddenMetricsForVersion',
      `"${version}" is not ${hiddenMetricsVersion}, the only release that is accepted`,
    );
  return version !== '';
}

/** Defaults that differ in a configuration file. The fields' own defaults are those of the flags. */
export const fileDefaults: Settings = { 'ipvs.minSyncPeriod': 0 };

export interface CompletionOptions {
  /** URL of --master, which has no field. */
  readonly master?: string;
  /** Uses `fileDefaults`: see kube-proxy's conversion of its versioned configuration. */
  readonly fromFile?: boolean;
  /** Returns what the user calls a field: its path, or the flag that set it. */
  readonly nameOf?: (path: FieldPath) => string;
}

/** Joins the settings with kube-proxy's v1alpha1 defaults and checks the result by kube-proxy's rules. */
export function completeConfiguration(
  settings: Settings,
  { master = '', fromFile = false, nameOf = (path) => path }: CompletionOptions = {},
): CompletedConfiguration {
  const checks = new Checks(settings, nameOf, fromFile ? fileDefaults : {});
  const mode = completeMode(checks);
  // kube-proxy ignores the sections of other modes.
  const sectionOf = (name: ProxyMode): Checks => (name === mode ? checks : new Checks({}, nameOf));
  const configuration: ProxyConfiguration = {
    mode,
    kubeconfig: checks.value('clientConnection.kubeconfig'),
    master,
    hostnameOverride: checks.value('hostnameOverride'),
    ...completeServers(checks),
    localhostNodePorts: checks.value('iptables.localhostNodePorts'),
    ...completeModeSettings(checks, mode),
    ipvs: completeIpvs(sectionOf('ipvs')),
    conntrack: completeConntrack(checks),
    oomScoreAdj: checks.within('oomScoreAdj', -1000, 1000),
    enableProfiling: checks.value('enableProfiling'),
    showHiddenMetrics: completeHiddenMetrics(checks),
    ...completeDetectLocal(checks),
    allowServiceExternalIPs: completeGates(checks),
    logging: completeLogging(checks),
  };
  checkOthers(checks);
  return { configuration, problems: checks.problems };
}

/** The gates that are set and that vipwire does not know, each with a suggestion of a similar name. */
export function gatesWithoutEffect(settings: Settings): readonly string[] {
  return Object.keys(settings.featureGates ?? {})
    .filter((name) => !knownGates.includes(name))
    .map((name) => `${name}${suggest(name, knownGates).replace(/^: (.*)/, ' ($1)')}`);
}
