/** The iptables of this machine: which variant, which families, under which lock. */
import { PreparedCommands, type RunCommand, runCommand } from '../host/command';
import { isIPv6Supported } from '../host/interfaces';
import { lockFileOf, waitForLock, WriteLock } from '../host/lock';
import { families, type Family } from '../model/address';
import { UserError } from '../model/user-error';
import type { Logger } from '../telemetry/log';
import { detectVariant, IptablesDriver, isFamilyUsable, type WithLock } from '../xtables/driver';
import type { Variant } from '../xtables/variant';
import type { IptablesVariant } from './command-line';

/** An orphaned write of a predecessor ends sooner. */
const lockWaitMs = 60_000;

/** Throws UserError where no variant works. */
export async function openTables(
  wanted: IptablesVariant,
  log: Logger,
  purpose: 'reading' | 'writing',
): Promise<ReadonlyMap<Family, IptablesDriver>> {
  const run: RunCommand = purpose === 'writing' ? new PreparedCommands().run : runCommand;
  return openTablesBy(run, wanted, log, purpose);
}

/** The same, by one way to run commands for all tools. */
export async function openTablesBy(
  run: RunCommand,
  wanted: IptablesVariant,
  log: Logger,
  purpose: 'reading' | 'writing',
): Promise<ReadonlyMap<Family, IptablesDriver>> {
  const variant = await detectVariant(run, wanted, log);
  const open = async (family: Family): Promise<IptablesDriver[]> => {
    if (variant === undefined || (family === 'IPv6' && !(await isIPv6Supported()))) return [];
    if (!(await isFamilyUsable(run, variant, family))) return [];
    const writes =
      purpose === 'writing' ? await takeOver(run, `${variant}-${family}`, log) : { run, withLock: withoutLock };
    return [new IptablesDriver(family, variant, writes.run, writes.withLock)];
  };
  const opened = (await Promise.all(families.map(open))).flat();
  const drivers = new Map(opened.map((driver) => [driver.family, driver]));
  if (drivers.size === 0) throw new UserError(await explainMissing(run, variant));
  log.info({ variant, families: [...drivers.keys()] }, 'using iptables');
  return drivers;
}

const withoutLock: WithLock = (file, args) => ({ file, args });

/** How to write. */
export interface Writes {
  readonly run: RunCommand;
  readonly withLock: WithLock;
}

/**
 * Waits for a write that a predecessor left behind. The lock is held by the tool that writes next, which waits for its input,
 * so that two of us on one node do not write by turns. Where there is no lock, writes go without it, after one warning.
 */
export async function takeOver(run: RunCommand, name: string, log: Logger): Promise<Writes> {
  const lockFile = lockFileOf(name);
  const fields = { lockFile: lockFile.path };
  const without = (reason: string): void => log.warn({ ...fields, reason }, 'writes go on without their lock');
  const lock = await waitForLock(run, lockFile, lockWaitMs);
  if (lock.kind === 'unavailable') {
    without(lock.reason);
    return { run, withLock: withoutLock };
  }
  if (lock.kind === 'held') log.warn(fields, 'somebody holds the lock of writes: does another vipwire run here?');
  const writeLock = new WriteLock(lockFile, (reason) => {
    if (reason === undefined) log.info(fields, 'writes have their lock again');
    else without(reason);
  });
  return { run: writeLock.orWithout(run), withLock: writeLock.command };
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
