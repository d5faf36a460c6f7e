import { type IptablesSettings, matchHairpin, packetCounters } from '../backends/iptables/fixed-chains';
import type { ProxyConfiguration } from '../config/configuration';
import { PacketCounters } from '../host/packet-counters';
import { readSysctl } from '../host/sysctl';
import type { Logger } from '../telemetry/log';
import type { IptablesDriver } from '../xtables/driver';
import type { KernelTables } from '../xtables/rules';

const counterNames = Object.values(packetCounters);

/** Of a machine that has every match. Counters are objects of their own: a text without them goes into any kernel. */
export function usualSettings({ masqueradeBit }: ProxyConfiguration): IptablesSettings {
  // Unsigned: bit 31 is one too.
  const masqueradeMark = (1 << masqueradeBit) >>> 0;
  return { masqueradeMark, dropInvalid: true, hasBpf: true, hasRecent: true, hasSctp: true, hasNfacct: false };
}

/** Of this machine, by what can be read of it. */
export async function localSettings(
  configuration: ProxyConfiguration,
  counters: PacketCounters,
): Promise<IptablesSettings> {
  const beLiberal = await readSysctl('net/netfilter/nf_conntrack_tcp_be_liberal').catch(() => '0');
  const counts = await readCounters(counters).catch(() => undefined);
  return { ...usualSettings(configuration), dropInvalid: beLiberal === '0', hasNfacct: counts !== undefined };
}

/** And by what its kernel takes. */
export async function probedSettings(
  driver: IptablesDriver,
  configuration: ProxyConfiguration,
  counters: PacketCounters,
  log: Logger,
): Promise<IptablesSettings> {
  const { family } = driver;
  await ensureCounters(counters);
  const settings = await localSettings(configuration, counters);
  const bpf = matchHairpin(family);
  const recent = '-m recent --update --seconds 1 --reap --name KUBE-SEP-probe';
  const sctp = '-p sctp -m sctp --dport 1';
  const nfacct = settings.hasNfacct ? `-m nfacct --nfacct-name ${packetCounters.droppedInvalid}` : '';
  const hasAll = await driver.canMatch(`${sctp} ${bpf} ${recent} ${nfacct}`);
  const [hasBpf, hasRecent, hasSctp, hasNfacct] = [
    hasAll || (await driver.canMatch(bpf)),
    hasAll || (await driver.canMatch(recent)),
    hasAll || (await driver.canMatch(sctp)),
    settings.hasNfacct && (hasAll || (await driver.canMatch(nfacct))),
  ];
  if (!hasBpf) log.info({ family }, 'the kernel has no xt_bpf: hairpin connections are told by a rule an endpoint');
  if (!hasRecent) log.warn({ family }, 'the kernel has no xt_recent: sessionAffinity ClientIP has no effect');
  if (!hasSctp) log.warn({ family }, 'the kernel has no xt_sctp: SCTP ports are not served');
  if (!hasNfacct) log.info({ family }, 'the kernel has no nfacct: packets dropped as INVALID are not counted');
  return { ...settings, hasBpf, hasRecent, hasSctp, hasNfacct };
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

/** Those that no rule counts into any more. */
export async function removeCounters(): Promise<void> {
  const counters = new PacketCounters();
  for (const name of counterNames) await counters.delete(name).catch(() => undefined);
  counters.close();
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
