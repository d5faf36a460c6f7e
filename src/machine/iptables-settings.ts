import { matchHairpin, packetCounters } from '../backends/iptables/render-fixed';
import type { IptablesSettings } from '../backends/iptables/settings';
import type { ProxyConfiguration } from '../config/configuration';
import { NetlinkError, NetlinkUnavailableError } from '../host/netlink';
import { PacketCounters } from '../host/packet-counters';
import { askSysctl } from '../host/sysctl';
import { absent, type Answer, found, type Unknown, unknown } from '../model/answer';
import type { Logger } from '../telemetry/log';
import type { IptablesDriver } from '../xtables/driver';
import type { KernelTables } from '../xtables/kernel-tables';
import { messageOf } from '../model/error-message';

const counterNames = Object.values(packetCounters);

/** Of a machine that has every match. Counters are objects of their own: a text without them goes into any kernel. */
export function usualSettings({ masqueradeBit }: ProxyConfiguration): IptablesSettings {
  // Unsigned: bit 31 is one too.
  const masqueradeMark = (1 << masqueradeBit) >>> 0;
  return { masqueradeMark, dropInvalid: true, hasBpf: true, hasRecent: true, hasSctp: true, hasNfacct: false };
}

/** By what could be told. */
export interface KnownSettings {
  readonly settings: IptablesSettings;
  /** What could not, and was assumed: question -> why. */
  readonly assumed: ReadonlyMap<string, Unknown>;
}

const isLiberal = 'whether nf_conntrack_tcp_be_liberal is on';
const canCount = 'whether the kernel counts packets by name (nfacct)';
export const settingQuestions = [isLiberal, canCount] as const;

/** Of this machine, by what can be read of it. */
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

/** And by what its kernel takes; unknown where the tool that writes rules does not say. */
export async function probedSettings(
  driver: IptablesDriver,
  configuration: ProxyConfiguration,
  counters: PacketCounters,
  log: Logger,
): Promise<Answer<KnownSettings>> {
  const { family } = driver;
  const { settings, assumed } = await localSettings(configuration, counters);
  const wanted = {
    hasBpf: matchHairpin(family),
    hasRecent: '-m recent --update --seconds 1 --reap --name KUBE-SEP-probe',
    hasSctp: '-p sctp -m sctp --dport 1',
    ...(settings.hasNfacct ? { hasNfacct: `-m nfacct --nfacct-name ${packetCounters.droppedInvalid}` } : {}),
  };
  const answers = await canMatchEach(driver, wanted);
  if (answers.kind !== 'found') return answers;
  const { hasBpf = false, hasRecent = false, hasSctp = false, hasNfacct = false } = answers.value;
  if (!hasBpf) log.info({ family }, 'the kernel has no xt_bpf: hairpin connections are told by a rule an endpoint');
  if (!hasRecent) log.warn({ family }, 'the kernel has no xt_recent: sessionAffinity ClientIP has no effect');
  if (!hasSctp) log.warn({ family }, 'the kernel has no xt_sctp: SCTP ports are not served');
  if (!hasNfacct && !assumed.has(canCount))
    log.info({ family }, 'the kernel has no nfacct: packets dropped as INVALID are not counted');
  return found({ settings: { ...settings, hasBpf, hasRecent, hasSctp, hasNfacct }, assumed });
}

/** All at once where the kernel has all. SCTP goes first: a match of ports follows its protocol. */
async function canMatchEach<Name extends string>(
  driver: IptablesDriver,
  matches: Readonly<Partial<Record<Name, string>>>,
): Promise<Answer<Partial<Record<Name, boolean>>>> {
  const names = Object.keys(matches) as Name[];
  const textOf = (name: Name): string => matches[name] ?? '';
  const together = names.map(textOf).sort((a, b) => Number(b.startsWith('-p')) - Number(a.startsWith('-p')));
  const all = await driver.canMatch(together.join(' '));
  if (all.kind === 'unknown') return all;
  const answers: Partial<Record<Name, boolean>> = {};
  for (const name of names) {
    const answer = all.kind === 'found' ? all : await driver.canMatch(textOf(name));
    if (answer.kind === 'unknown') return answer;
    answers[name] = answer.kind === 'found';
  }
  return found(answers);
}

/** Looks at the tables with the counters in place: should one be gone, every write that names it would fail. */
export function withCounters(tables: KernelTables, counters: PacketCounters): KernelTables {
  return {
    variant: tables.variant,
    save: async () => {
      await ensureCounters(counters);
      return tables.save();
    },
    restore: (input) => tables.restore(input),
    canariesStand: () => tables.canariesStand(),
  };
}

/** Where they cannot be had, rules go without. */
async function ensureCounters(counters: PacketCounters): Promise<void> {
  await counters.ensure(counterNames).catch(() => undefined);
}

/** Those that no rule counts into any more. Returns why the others stay. */
export async function removeCounters(): Promise<readonly string[]> {
  const counters = new PacketCounters();
  const kept: string[] = [];
  for (const name of counterNames)
    try {
      await counters.delete(name);
    } catch (error) {
      if (!isWithoutCounters(error)) kept.push(`${name}: ${messageOf(error)}`);
    }
  counters.close();
  return kept;
}

/** absent: this kernel has none, or the netlink addon does not load here. */
async function askCounters(counters: PacketCounters): Promise<Answer<true>> {
  try {
    await counters.ensure(counterNames);
    return (await readCounters(counters)) === undefined ? absent : found(true);
  } catch (error) {
    return isWithoutCounters(error) ? absent : unknown(error);
  }
}

/** nfnetlink says EINVAL of a subsystem that is not there. */
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
