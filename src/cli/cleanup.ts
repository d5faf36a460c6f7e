import { CommandError, runCommand } from '../host/command';
import { askIPv6Kernel } from '../host/interfaces';
import type { Family } from '../model/address';
import type { Logger } from '../telemetry/log';
import { createLogger } from '../telemetry/logger';
import { nameSome } from '../telemetry/name-some';
import { cleanUp } from '../xtables/cleanup';
import { IptablesDriver } from '../xtables/driver';
import { type Variant, variants } from '../xtables/variant';
import type { CleanupInvocation } from './invocation';
import { removeCounters } from '../machine/iptables-settings';
import { removeIpvs } from '../machine/ipvs-machine';
import { removeNftTables } from '../machine/leave-nftables';
import { messageOf } from '../model/error-message';

/** Of every variant and family that is there, unless one is asked for: 0 where nothing of a proxy is left. */
export async function cleanup({ iptablesVariant }: CleanupInvocation): Promise<number> {
  const log = createLogger({ verbosity: 0, format: 'text' });
  const wanted: readonly Variant[] = iptablesVariant === 'auto' ? variants : [iptablesVariant];
  // Where it cannot be told, its tools tell.
  const families: readonly Family[] = (await askIPv6Kernel()).kind === 'absent' ? ['IPv4'] : ['IPv4', 'IPv6'];
  const results: ('clean' | 'failed' | 'no tools')[] = [];
  for (const variant of wanted) for (const family of families) results.push(await cleanTables(variant, family, log));
  const tried = results.filter((result) => result !== 'no tools');
  const isIpvsClean = await cleanIpvs(families, log);
  // Not of a variant of iptables, so only where everything is asked for.
  const isNftClean = iptablesVariant === 'auto' ? await cleanNft(log) : true;
  const areCountersGone = await cleanCounters(log);
  if (tried.length === 0) log.error('no iptables that works here (root, or CAP_NET_ADMIN and CAP_NET_RAW, are needed)');
  const isClean = tried.length > 0 && !tried.includes('failed') && isIpvsClean && isNftClean && areCountersGone;
  return isClean ? 0 : 1;
}

async function cleanTables(variant: Variant, family: Family, log: Logger): Promise<'clean' | 'failed' | 'no tools'> {
  const tables = new IptablesDriver(family, variant, runCommand, (file, args) => ({ file, args }));
  try {
    // Reads first: a legacy table that nobody uses must not be loaded into the kernel by asking for it.
    const { chains, jumps, kept, left } = await cleanUp(tables, family);
    const removed = chains + jumps;
    if (removed + left.length === 0) log.info({ variant, family, chains, jumps }, 'nothing to remove');
    if (removed > 0) log.info({ variant, family, chains, jumps }, 'removed');
    if (kept.length > 0) log.info({ variant, family, kept: nameSome(kept) }, 'kept');
    if (left.length === 0) return 'clean';
    log.error({ variant, family, left: nameSome(left) }, 'still there after it was removed: does a proxy still run?');
  } catch (error) {
    if (error instanceof CommandError && error.notFound) return 'no tools';
    log.error({ variant, family, reason: messageOf(error) }, 'cannot clean up');
  }
  return 'failed';
}

async function cleanIpvs(families: readonly Family[], log: Logger): Promise<boolean> {
  try {
    const removed = await removeIpvs(families);
    if (removed.servers + removed.sets + removed.addresses > 0) log.info(removed, 'removed of IPVS mode');
    return true;
  } catch (error) {
    log.error({ reason: messageOf(error) }, 'cannot clean up IPVS');
    return false;
  }
}

async function cleanNft(log: Logger): Promise<boolean> {
  try {
    const tables = await removeNftTables(runCommand);
    if (tables.length > 0) log.info({ tables: tables.join(', ') }, 'removed of nftables mode');
    return true;
  } catch (error) {
    log.error({ reason: messageOf(error) }, 'cannot clean up nftables');
    return false;
  }
}

async function cleanCounters(log: Logger): Promise<boolean> {
  const left = await removeCounters();
  if (left.length > 0) log.error({ counters: left.join('; ') }, 'packet counters that cannot be removed');
  return left.length === 0;
}
