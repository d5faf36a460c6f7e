import { type IptablesSettings, matchHairpin } from '../backends/iptables/fixed-chains';
import type { ProxyConfiguration } from '../config/configuration';
import { readSysctl } from '../host/sysctl';
import type { Logger } from '../telemetry/log';
import type { IptablesDriver } from '../xtables/driver';

/** Of a machine that has everything. */
export function usualSettings({ masqueradeBit }: ProxyConfiguration): IptablesSettings {
  // Unsigned: bit 31 is one too.
  const masqueradeMark = (1 << masqueradeBit) >>> 0;
  return { masqueradeMark, dropInvalid: true, hasBpf: true, hasRecent: true, hasSctp: true };
}

/** Of this machine, by what its sysctls say. */
export async function localSettings(configuration: ProxyConfiguration): Promise<IptablesSettings> {
  const beLiberal = await readSysctl('net/netfilter/nf_conntrack_tcp_be_liberal').catch(() => '0');
  return { ...usualSettings(configuration), dropInvalid: beLiberal === '0' };
}

/** And by what its kernel takes. */
export async function probedSettings(
  driver: IptablesDriver,
  configuration: ProxyConfiguration,
  log: Logger,
): Promise<IptablesSettings> {
  const settings = await localSettings(configuration);
  const { family } = driver;
  const bpf = matchHairpin(family);
  const recent = '-m recent --update --seconds 1 --reap --name KUBE-SEP-probe';
  const sctp = '-p sctp -m sctp --dport 1';
  if (await driver.canMatch(`${sctp} ${bpf} ${recent}`)) return settings;
  const [hasBpf, hasRecent, hasSctp] = [
    await driver.canMatch(bpf),
    await driver.canMatch(recent),
    await driver.canMatch(sctp),
  ];
  if (!hasBpf) log.info({ family }, 'the kernel has no xt_bpf: hairpin connections are told by a rule an endpoint');
  if (!hasRecent) log.warn({ family }, 'the kernel has no xt_recent: sessionAffinity ClientIP has no effect');
  if (!hasSctp) log.warn({ family }, 'the kernel has no xt_sctp: SCTP ports are not served');
  return { ...settings, hasBpf, hasRecent, hasSctp };
}
