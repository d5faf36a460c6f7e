/** What preflight asks of the machine for nftables mode, and what changes on a node that comes from rules of iptables. */
import type { ProxyConfiguration } from '../config/configuration';
import { systemClock } from '../host/clock';
import { runCommand } from '../host/command';
import { askIPv6 } from '../host/interfaces';
import { families, type Family } from '../model/address';
import type { IptablesVariant } from '../xtables/variant';
import { checkFromIptables } from './check-from-iptables';
import { cannotTell, fail, type Finding, type MachineCheck, ok } from './finding';
import { isHopeless, openNftKernel } from './nft-kernel';

const check = 'nftables';

export async function checkNftables(
  configuration: ProxyConfiguration,
  iptablesVariant: IptablesVariant,
): Promise<MachineCheck> {
  const findings: Finding[] = [];
  const served: Family[] = [];
  for (const family of families) {
    const six = family === 'IPv6' ? await askIPv6() : undefined;
    if (six?.kind === 'absent') continue;
    const opened = six?.kind === 'unknown' ? six : await openNftKernel(family, runCommand, systemClock);
    if (opened.kind === 'found') {
      opened.value.close();
      served.push(family);
    } else if (opened.kind === 'unknown') findings.push(explain(family, opened.reason));
  }
  if (served.length > 0) findings.unshift(ok(check, `the kernel takes all that is used: ${served.join(', ')}`));
  findings.push(...(await checkFromIptables(configuration, iptablesVariant)));
  return { findings, families: served };
}

function explain(family: Family, reason: string): Finding {
  const what = `${family}: ${reason}`;
  return isHopeless(reason)
    ? fail(check, what, 'load the modules of these options, or use a kernel that has them')
    : cannotTell(check, what, 'until it can be told, Services have no frontends in that family');
}
