/** `vipwire cleanup`: removes what vipwire and kube-proxy left in the kernel. */
import { CommandError, runCommand } from '../host/command';
import { askIPv6Kernel } from '../host/interfaces';
import { withoutLock } from '../host/lock';
import { explainWithoutTool } from '../machine/leave-tables';
import type { Family } from '../model/address';
import { messageOf } from '../model/error-message';
import { defaultMode, otherModes } from '../modes/modes';
import type { Logger } from '../telemetry/log';
import { createLogger } from '../telemetry/logger';
import { nameSome } from '../telemetry/name-some';
import { cleanUp } from '../xtables/cleanup';
import { IptablesDriver } from '../xtables/driver';
import { type Variant, variants } from '../xtables/variant';
import type { CleanupInvocation } from './invocation';

/** Cleans every variant and family of iptables, unless one variant is asked for. Returns 0 where nothing of a proxy is left. */
export async function cleanup({ iptablesVariant }: CleanupInvocation): Promise<number> {
  const log = createLogger({ verbosity: 0, format: 'text' });
  const wanted: readonly Variant[] = iptablesVariant === 'auto' ? variants : [iptablesVariant];
  // Where that cannot be found out, the tools of IPv6 say whether they work.
  const families: readonly Family[] = (await askIPv6Kernel()).kind === 'absent' ? ['IPv4'] : ['IPv4', 'IPv6'];
  const isClean: boolean[] = [];
  for (const variant of wanted) for (const family of families) isClean.push(await cleanTables(variant, family, log));
  // The default mode is last: its rules use what it leaves.
  // What does not belong to a variant of iptables stays where one is asked for.
  for (const mode of [...otherModes(defaultMode), defaultMode])
    if (mode.isOnTables || iptablesVariant === 'auto') isClean.push(await mode.cleanUp(families, log));
  return isClean.includes(false) ? 1 : 0;
}

/** Returns whether nothing is left. */
async function cleanTables(variant: Variant, family: Family, log: Logger): Promise<boolean> {
  const tables = new IptablesDriver(family, variant, runCommand, withoutLock);
  try {
    // It reads first: a legacy table that nobody uses must not be loaded into the kernel by asking for it.
    const { chains, jumps, kept, left } = await cleanUp(tables, family);
    const removed = chains + jumps;
    if (removed + left.length === 0) log.info({ variant, family, chains, jumps }, 'nothing to remove');
    if (removed > 0) log.info({ variant, family, chains, jumps }, 'removed');
    if (kept.length > 0) log.info({ variant, family, kept: nameSome(kept) }, 'kept');
    if (left.length === 0) return true;
    log.error({ variant, family, left: nameSome(left) }, 'still there after it was removed: does a proxy still run?');
  } catch (error) {
    if (error instanceof CommandError && error.notFound) return isCleanWithoutTool(variant, family, log);
    log.error({ variant, family, reason: messageOf(error) }, 'cannot clean up');
  }
  return false;
}

async function isCleanWithoutTool(variant: Variant, family: Family, log: Logger): Promise<boolean> {
  try {
    const reason = await explainWithoutTool(variant, family);
    if (reason !== '') log.error({ variant, family, reason }, 'rules stay');
    return reason === '';
  } catch (error) {
    log.error({ variant, family, reason: messageOf(error) }, 'cannot tell whether rules stay');
    return false;
  }
}
