/** The iptables of this machine: which variant, which families, under which lock. */
import { detectVariant, IptablesDriver, isFamilyUsable, type WithLock } from '../backends/iptables/driver';
import type { Variant } from '../backends/iptables/variant';
import { type RunCommand, runCommand } from '../host/command';
import { isIPv6Supported } from '../host/interfaces';
import { lockAvailable, lockedCommand } from '../host/lock';
import type { Family } from '../model/address';
import { UserError } from '../model/user-error';
import type { Logger } from '../telemetry/log';
import type { IptablesVariant } from './command-line';

/** Held by every write, and so by one whose process was killed: the next process waits for it. */
export const lockFile = '/run/vipwire.lock';

/** Throws UserError where no variant works. */
export async function openTables(
  wanted: IptablesVariant,
  log: Logger,
  purpose: 'reading' | 'writing',
): Promise<ReadonlyMap<Family, IptablesDriver>> {
  const run: RunCommand = runCommand;
  const withLock = purpose === 'writing' ? await chooseLock(run, log) : withoutLock;
  const variant = wanted === 'auto' ? await detectVariant(run, log) : wanted;
  const drivers = new Map<Family, IptablesDriver>();
  for (const family of ['IPv4', 'IPv6'] as const) {
    if (variant === undefined || (family === 'IPv6' && !(await isIPv6Supported()))) continue;
    if (await isFamilyUsable(run, variant, family))
      drivers.set(family, new IptablesDriver(family, variant, run, withLock));
  }
  if (drivers.size === 0) throw new UserError(await explainMissing(run, variant));
  log.info({ variant, families: [...drivers.keys()] }, 'using iptables');
  return drivers;
}

const withoutLock: WithLock = (file, args) => ({ file, args });

async function chooseLock(run: RunCommand, log: Logger): Promise<WithLock> {
  if (await lockAvailable(run, lockFile)) return (file, args) => lockedCommand(lockFile, file, args);
  log.debug({ lockFile }, 'no lock for writes: flock or the file cannot be had');
  return withoutLock;
}

async function explainMissing(run: RunCommand, variant: Variant | undefined): Promise<string> {
  const tool = `iptables-${variant ?? 'nft'}`;
  try {
    await run(tool, ['-t', 'nat', '-S', 'POSTROUTING']);
  } catch (error) {
    return `iptables cannot be used here (root, or CAP_NET_ADMIN and CAP_NET_RAW, are needed): ${(error as Error).message}`;
  }
  return `${tool} does not work here`;
}
