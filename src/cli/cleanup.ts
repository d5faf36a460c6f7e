import { CommandError, runCommand } from '../host/command';
import { isIPv6Supported } from '../host/interfaces';
import type { Family } from '../model/address';
import { createLogger } from '../telemetry/logger';
import { cleanUp } from '../xtables/cleanup';
import { IptablesDriver } from '../xtables/driver';
import { type Variant, variants } from '../xtables/variant';
import type { CleanupInvocation } from './command-line';
import { removeCounters } from './iptables-settings';
import { removeIpvs } from './ipvs-machine';

/** Of every variant and family that is there, unless one is asked for: 0 where all went well. */
export async function cleanup({ iptablesVariant }: CleanupInvocation): Promise<number> {
  const log = createLogger({ verbosity: 0, format: 'text' });
  const wanted: readonly Variant[] = iptablesVariant === 'auto' ? variants : [iptablesVariant];
  const families: readonly Family[] = (await isIPv6Supported()) ? ['IPv4', 'IPv6'] : ['IPv4'];
  let tried = 0;
  let failed = 0;
  for (const variant of wanted)
    for (const family of families) {
      const tables = new IptablesDriver(family, variant, runCommand, (file, args) => ({ file, args }));
      try {
        // Reads first: a legacy table that nobody uses must not be loaded into the kernel by asking for it.
        const { chains, jumps } = await cleanUp(tables, family);
        log.info({ variant, family, chains, jumps }, chains + jumps === 0 ? 'nothing to remove' : 'removed');
        tried++;
      } catch (error) {
        if (error instanceof CommandError && error.notFound) continue;
        tried++;
        failed++;
        log.error({ variant, family, reason: (error as Error).message }, 'cannot clean up');
      }
    }
  try {
    const removed = await removeIpvs(families);
    if (removed.servers + removed.sets + removed.addresses > 0) log.info(removed, 'removed of IPVS mode');
  } catch (error) {
    failed++;
    log.error({ reason: (error as Error).message }, 'cannot clean up IPVS');
  }
  await removeCounters();
  if (tried === 0) log.error('no iptables that works here (root, or CAP_NET_ADMIN and CAP_NET_RAW, are needed)');
  return tried > 0 && failed === 0 ? 0 : 1;
}
