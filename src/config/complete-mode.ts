/** The proxy mode, and the settings that kube-proxy keeps in a section of the file for each mode. */
import { formatCidr, parseCidr } from '../model/address';
import { suggest } from '../model/nearest-name';
import { type ProxyMode, proxyModes } from '../model/proxy-mode';
import { nodePortWords } from '../planner/node-port-addresses';
import type { Checks } from './checks';
import type { ProxyConfiguration } from './configuration';
import { formatDuration } from './duration';
import type { FieldPath } from './fields';

/** `iptables, ipvs or nftables` */
const allModes = proxyModes.join(', ').replace(/, (\w+)$/, ' or $1');

/** Modes that kube-proxy had, each with what to say about it. */
const absentModes: ReadonlyMap<string, string> = new Map([
  ['userspace', `kube-proxy removed userspace in 1.26: use ${allModes}`],
]);

export function completeMode(checks: Checks): ProxyMode {
  const given = checks.value('mode');
  const mode = proxyModes.find((name) => name === given);
  if (mode === undefined)
    checks.problem(
      'mode',
      absentModes.get(given) ?? `there is no mode "${given}"${suggest(given, proxyModes) || `: use ${allModes}`}`,
    );
  return mode ?? proxyModes[0];
}

/** Where the settings of one mode are. */
interface ModeFields {
  readonly masqueradeBit: 'iptables.masqueradeBit' | 'nftables.masqueradeBit';
  readonly masqueradeAll: 'iptables.masqueradeAll' | 'nftables.masqueradeAll';
  readonly syncPeriod: `${SectionName}.syncPeriod`;
  readonly minSyncPeriod: `${SectionName}.minSyncPeriod`;
  /** What an empty list means. */
  readonly nodePortAddresses: readonly string[];
  /** The fields that flags set in this mode, by the field that they are bound to: kube-proxy has no flags of its own for it. */
  readonly borrowedFlags: ReadonlyMap<FieldPath, FieldPath>;
}

type SectionName = 'iptables' | 'ipvs' | 'nftables';

const iptables: ModeFields = {
  masqueradeBit: 'iptables.masqueradeBit',
  masqueradeAll: 'iptables.masqueradeAll',
  syncPeriod: 'iptables.syncPeriod',
  minSyncPeriod: 'iptables.minSyncPeriod',
  nodePortAddresses: [],
  borrowedFlags: new Map(),
};

/** As in kube-proxy, whose IPVS mode masquerades as the section of iptables mode says. */
const fieldsOf: Readonly<Record<SectionName, ModeFields>> = {
  iptables,
  ipvs: { ...iptables, syncPeriod: 'ipvs.syncPeriod', minSyncPeriod: 'ipvs.minSyncPeriod' },
  nftables: {
    masqueradeBit: 'nftables.masqueradeBit',
    masqueradeAll: 'nftables.masqueradeAll',
    syncPeriod: 'nftables.syncPeriod',
    minSyncPeriod: 'nftables.minSyncPeriod',
    nodePortAddresses: ['primary'],
    borrowedFlags: new Map([
      ['iptables.masqueradeAll', 'nftables.masqueradeAll'],
      ['iptables.syncPeriod', 'nftables.syncPeriod'],
      ['iptables.minSyncPeriod', 'nftables.minSyncPeriod'],
    ]),
  },
};

type ModeSettings = Pick<
  ProxyConfiguration,
  'masqueradeBit' | 'masqueradeAll' | 'syncPeriodMs' | 'minSyncPeriodMs' | 'nodePortAddresses'
>;

/** Checks the section of this mode alone, as kube-proxy does, which also looks at iptables.masqueradeBit in every mode. */
export function completeModeSettings(checks: Checks, mode: SectionName): ModeSettings {
  const fields = fieldsOf[mode];
  const iptablesBit = checks.within('iptables.masqueradeBit', 0, 31);
  const nodePortAddresses = completeNodePortAddresses(checks);
  return {
    masqueradeBit:
      fields.masqueradeBit === 'iptables.masqueradeBit' ? iptablesBit : checks.within(fields.masqueradeBit, 0, 31),
    masqueradeAll: checks.value(fields.masqueradeAll),
    ...completePeriods(checks, fields),
    nodePortAddresses: nodePortAddresses.length > 0 ? nodePortAddresses : fields.nodePortAddresses,
  };
}

function completePeriods(
  checks: Checks,
  { syncPeriod, minSyncPeriod }: ModeFields,
): Pick<ProxyConfiguration, 'syncPeriodMs' | 'minSyncPeriodMs'> {
  const syncPeriodMs = checks.positive(syncPeriod);
  const minSyncPeriodMs = checks.value(minSyncPeriod);
  checks.notNegative(minSyncPeriod);
  if (minSyncPeriodMs > syncPeriodMs && syncPeriodMs > 0) {
    const [least, most] = [formatDuration(minSyncPeriodMs), formatDuration(syncPeriodMs)];
    checks.problem(minSyncPeriod, `${least} is more than ${checks.nameOf(syncPeriod)}, ${most}`);
  }
  return { syncPeriodMs, minSyncPeriodMs };
}

function completeNodePortAddresses(checks: Checks): readonly string[] {
  const words = [...nodePortWords.keys()].join(', ');
  return checks.value('nodePortAddresses').flatMap((text) => {
    if (nodePortWords.has(text)) return [text];
    const cidr = parseCidr(text);
    if (cidr !== undefined) return [formatCidr(cidr)];
    checks.problem('nodePortAddresses', `"${text}" is neither a CIDR such as 10.0.0.0/8 nor one of ${words}`);
    return [];
  });
}

/** Returns the field that a flag sets in a mode, which is given as the user wrote it. */
export function fieldOfFlag(bound: FieldPath, mode: string | undefined): FieldPath {
  const [, fields] = Object.entries(fieldsOf).find(([name]) => name === mode) ?? [];
  return fields?.borrowedFlags.get(bound) ?? bound;
}
