/** The iptables of this machine: which variant, which families, under which lock. */
import { systemClock } from '../host/clock';
import { type RunCommand, runCommand } from '../host/command';
import { askIPv6 } from '../host/interfaces';
import { lockFileOf, waitForLock, withoutLock, WriteLock } from '../host/lock';
import { families, type Family } from '../model/address';
import { type Answer, found, type Unknown, unknown } from '../model/answer';
import { UserError } from '../model/user-error';
import type { Logger } from '../telemetry/log';
import { OpenQuestions } from '../telemetry/open-questions';
import { askFamily, detectVariant, isOfRights, type Patience } from '../xtables/driver-variant';
import { IptablesDriver, type WithLock } from '../xtables/driver';
import { toolName } from '../xtables/tool-names';
import type { IptablesVariant, Variant } from '../xtables/variant';

/** Longer than the write that an earlier process left behind can take. */
export const lockWaitMs = 60_000;
/** Writing is the daemon, whose earlier rules are in force meanwhile; reading is a command that somebody waits for. */
const patience: Readonly<Record<'writing' | 'reading', Patience>> = {
  writing: { clock: systemClock, pauseMs: 1000, limitMs: 30_000 },
  reading: { clock: systemClock, pauseMs: 200, limitMs: 2000 },
};

export interface TablesOptions {
  readonly run: RunCommand;
  readonly wanted: IptablesVariant;
  readonly purpose: 'reading' | 'writing';
  readonly log: Logger;
  readonly questions: OpenQuestions;
}

const isMissing = ' is not there, or the kernel has no part for it';

/** The iptables of one variant. */
export interface Tables {
  readonly variant: Variant;
  /** absent: the kernel does not have the family. May be called again. */
  readonly open: (family: Family) => Promise<Answer<IptablesDriver>>;
}

export interface ReadTables {
  readonly drivers: ReadonlyMap<Family, IptablesDriver>;
  /** The families that this machine may have and that cannot be read, with the reason. */
  readonly unread: ReadonlyMap<Family, Unknown>;
}

/** For commands that read once. Throws UserError where no variant is installed, and where no family can be read. */
export async function openTables(wanted: IptablesVariant, log: Logger): Promise<ReadTables> {
  const questions = new OpenQuestions(log);
  const { open } = await chooseTables({ run: runCommand, wanted, log, purpose: 'reading', questions });
  const answers = await Promise.all(families.map(async (family) => [family, await open(family)] as const));
  const drivers = new Map(answers.flatMap(([family, it]) => (it.kind === 'found' ? [[family, it.value]] : [])));
  const unread = new Map(answers.flatMap(([family, it]) => (it.kind === 'unknown' ? [[family, it]] : [])));
  requireSomeFamily(new Map(answers));
  if (drivers.size === 0) throw new UserError(`iptables does not work here: ${explain(unread)}`);
  return { drivers, unread };
}

/** Throws UserError where asking again would not help in any family, because tools or rights are missing. */
export function requireSomeFamily(answers: ReadonlyMap<Family, Answer<unknown>>): void {
  const all = [...answers.values()];
  const isHopeless = (it: Answer<unknown>): boolean =>
    it.kind === 'absent' || (it.kind === 'unknown' && (isOfRights(it.reason) || it.reason.endsWith(isMissing)));
  if (!all.every(isHopeless)) return;
  throw new UserError(cannotBeUsed(all.flatMap((it) => (it.kind === 'unknown' ? it.reason : []))[0] ?? ''));
}

function cannotBeUsed(why: string): string {
  return `iptables cannot be used here (root, or CAP_NET_ADMIN and CAP_NET_RAW, are needed): ${why}`;
}

function explain(unread: ReadonlyMap<Family, Unknown>): string {
  return [...unread].map(([family, { reason }]) => `${family}: ${reason}`).join('; ');
}

/** Throws UserError where no variant is installed. */
export async function chooseTables(options: TablesOptions): Promise<Tables> {
  const { run, wanted, purpose, log, questions } = options;
  const variant = await detectVariant({ run, wanted, log, questions, patience: patience[purpose] });
  if (variant === undefined)
    throw new UserError(
      cannotBeUsed(`${toolName('iptables', wanted === 'legacy' ? 'legacy' : 'nft', 'IPv4')}: not found`),
    );
  log.info({ variant }, 'using iptables');
  let said = '';
  const onWait = (what: string, family: Family): void => {
    if (what !== said) log.warn({ family, variant }, what);
    said = what;
  };
  return { variant, open: (family) => openFamily(family, variant, options, onWait) };
}

async function openFamily(
  family: Family,
  variant: Variant,
  { run, purpose, log }: TablesOptions,
  onWait: (what: string, family: Family) => void,
): Promise<Answer<IptablesDriver>> {
  if (family === 'IPv6') {
    const supported = await askIPv6();
    if (supported.kind !== 'found') return supported;
  }
  const usable = await askFamily(run, variant, family, (what) => onWait(what, family));
  if (usable.kind === 'absent') return unknown(`${toolName('iptables', variant, family)}${isMissing}`);
  if (usable.kind === 'unknown') return usable;
  const writes =
    purpose === 'writing' ? await takeOver(run, `${variant}-${family}`, log) : { run, withLock: withoutLock };
  return found(new IptablesDriver(family, variant, writes.run, writes.withLock));
}

/** How to run commands that write. */
export interface Writes {
  readonly run: RunCommand;
  readonly withLock: WithLock;
}

/**
 * Waits for a write that an earlier process left behind. From then on the lock is held by the tool that writes next, which waits for
 * its input, so that two vipwire processes on one node do not alternate. Where there is no lock, a warning says so once, and writes
 * go without it.
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
  if (lock.kind === 'held') log.warn(fields, 'another process holds the write lock: does another vipwire run here?');
  const writeLock = new WriteLock(lockFile, (reason) => {
    if (reason === undefined) log.info(fields, 'writes have their lock again');
    else without(reason);
  });
  return { run: writeLock.orWithout(run), withLock: writeLock.command };
}
