/** The settings by which iptables mode renders its rules, and the packet counters that those rules use. */
import { packetCounters } from '../backends/iptables/render-fixed';
import type { IptablesSettings } from '../backends/iptables/settings';
import type { ProxyConfiguration } from '../config/configuration';
import { NetlinkError, NetlinkUnavailableError } from '../host/netlink';
import { PacketCounters } from '../host/packet-counters';
import { askSysctl } from '../host/sysctl';
import { absent, type Answer, found, type Unknown, unknown } from '../model/answer';
import { messageOf } from '../model/error-message';
import type { Logger } from '../telemetry/log';
import type { IptablesDriver } from '../xtables/driver';
import type { KernelTables } from '../xtables/kernel-tables';
import { askProbes, describeLoss, type MatchSetting, probes } from './iptables-probes';
import { masqueradeMarkOf } from './masquerade-mark';

const counterNames = Object.values(packetCounters);

/** For a kernel that has every match. It leaves out the counters, so that the rules can be loaded into any kernel. */
export function usualSettings(configuration: ProxyConfiguration): IptablesSettings {
  return {
    masqueradeMark: masqueradeMarkOf(configuration),
    dropInvalid: true,
    hasBpf: true,
    hasRecent: true,
    hasSctp: true,
    hasNfacct: false,
  };
}

export interface KnownSettings {
  readonly settings: IptablesSettings;
  /** The questions that the machine did not answer, with the reason of each. The settings assume the usual answer. */
  readonly assumed: ReadonlyMap<string, Unknown>;
}

const isLiberal = 'whether nf_conntrack_tcp_be_liberal is on';
const canCount = 'whether the kernel counts packets by name (nfacct)';
export const settingQuestions = [isLiberal, canCount] as const;

/** The settings for this machine, as far as they can be read without a write. */
export async function localSettings(
  configuration: ProxyConfiguration,
  counters: PacketCounters,
): Promise<KnownSettings> {
  const beLiberal = await askSysctl('net/netfilter/nf_conntrack_tcp_be_liberal');
  const counts = await askCounters(counters);
  const assumed = new Map<string, Unknown>();
  if (beLiberal.kind === 'unknown') assumed.set(isLiberal, beLiberal);
  if (counts.kind === 'unknown') assumed.set(canCount, counts);
  const dropInvalid = beLiberal.kind !== 'found' || beLiberal.value === '0';
  return { settings: { ...usualSettings(configuration), dropInvalid, hasNfacct: counts.kind === 'found' }, assumed };
}

/** The settings for this machine, with the matches that its kernel takes. Returns unknown where the tool that writes rules does not say. */
export async function probedSettings(
  driver: IptablesDriver,
  configuration: ProxyConfiguration,
  counters: PacketCounters,
  log: Logger,
): Promise<Answer<KnownSettings>> {
  const { family } = driver;
  const { settings, assumed } = await localSettings(configuration, counters);
  const isAsked = (setting: MatchSetting): boolean => setting !== 'hasNfacct' || settings.hasNfacct;
  const matches: Record<MatchSetting, boolean> = { hasBpf: false, hasRecent: false, hasSctp: false, hasNfacct: false };
  const asked = probes.filter(({ setting }) => setting !== undefined && isAsked(setting));
  for (const [{ setting }, answer] of await askProbes(driver, asked)) {
    if (answer.kind === 'unknown') return answer;
    if (setting !== undefined) matches[setting] = answer.kind === 'found';
  }
  for (const probe of probes) {
    const { setting, level } = probe;
    if (setting === undefined || matches[setting] || (setting === 'hasNfacct' && assumed.has(canCount))) continue;
    log[level]({ family }, describeLoss(probe));
  }
  return found({ settings: { ...settings, ...matches }, assumed });
}

/** The same tables, which make the counters before each read: where one is missing, every write that names it fails. */
export function withCounters(tables: KernelTables, counters: PacketCounters): KernelTables {
  return {
    variant: tables.variant,
    save: async () => {
      // Where they cannot be made, the tables are read all the same.
      await counters.ensure(counterNames).catch(() => undefined);
      return tables.save();
    },
    restore: (input) => tables.restore(input),
    canariesStand: () => tables.canariesStand(),
  };
}

/** Removes the counters, which no rule uses by now. Returns whether all are gone, and logs why others are not. */
export async function cleanUpCounters(log: Logger): Promise<boolean> {
  const counters = new PacketCounters();
  const kept: string[] = [];
  for (const name of counterNames)
    try {
      await counters.delete(name);
    } catch (error) {
      if (!isWithoutCounters(error)) kept.push(`${name}: ${messageOf(error)}`);
    }
  counters.close();
  if (kept.length > 0) log.error({ counters: kept.join('; ') }, 'packet counters that cannot be removed');
  return kept.length === 0;
}

/** Returns absent where this kernel has no counters, or the netlink addon does not load. */
async function askCounters(counters: PacketCounters): Promise<Answer<true>> {
  try {
    await counters.ensure(counterNames);
    return (await readCounters(counters)) === undefined ? absent : found(true);
  } catch (error) {
    return isWithoutCounters(error) ? absent : unknown(error);
  }
}

/** nfnetlink answers EINVAL for a subsystem that does not exist. */
function isWithoutCounters(error: unknown): boolean {
  if (error instanceof NetlinkUnavailableError) return true;
  return error instanceof NetlinkError && ['EINVAL', 'EOPNOTSUPP', 'EPROTONOSUPPORT'].includes(error.code);
}

export async function readCounters(
  counters: PacketCounters,
): Promise<Readonly<Record<keyof typeof packetCounters, number>> | undefined> {
  const [droppedInvalid, acceptedOnLocalhost] = await Promise.all([
    counters.read(packetCounters.droppedInvalid),
    counters.read(packetCounters.acceptedOnLocalhost),
  ]);
  if (droppedInvalid === undefined || acceptedOnLocalhost === undefined) return undefined;
  return { droppedInvalid, acceptedOnLocalhost };
}
