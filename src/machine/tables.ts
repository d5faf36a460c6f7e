/** The iptables of this machine: which variant, which families, under which lock. */
import { systemClock } from '../host/clock';
import { PreparedCommands, type RunCommand, runCommand } from '../host/command';
import { askIPv6 } from '../host/interfaces';
import { lockFileOf, waitForLock, WriteLock } from '../host/lock';
import { families, type Family } from '../model/address';
import { type Answer, found, type Unknown, unknown } from '../model/answer';
import { UserError } from '../model/user-error';
import type { Logger } from '../telemetry/log';
import { OpenQuestions } from '../telemetry/open-questions';
import { askFamily, detectVariant, isOfRights, type Patience } from '../xtables/driver-variant';
import { IptablesDriver, type WithLock } from '../xtables/driver';
import { toolName } from '../xtables/tool-names';
import type { Variant } from '../xtables/variant';
import type { IptablesVariant } from '../xtables/variant';

/** An orphaned write of a predecessor ends sooner. */
const lockWaitMs = 60_000;
/** Of the daemon, whose rules are in force meanwhile; and of who waits for a command. */
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
  /** absent: the kernel has no such family. Can be asked again. */
  readonly open: (family: Family) => Promise<Answer<IptablesDriver>>;
}

export interface ReadTables {
  readonly drivers: ReadonlyMap<Family, IptablesDriver>;
  /** Families that this machine may have, and which cannot be read: why. */
  readonly unread: ReadonlyMap<Family, Unknown>;
}

/** For commands that look once. Throws UserError where no variant is installed, and where no family can be read. */
export async function openTables(
  wanted: IptablesVariant,
  log: Logger,
  purpose: 'reading' | 'writing',
): Promise<ReadTables> {
  const run: RunCommand = purpose === 'writing' ? new PreparedCommands().run : runCommand;
  const { open } = await chooseTables({ run, wanted, log, purpose, questions: new OpenQuestions(log) });
  const answers = await Promise.all(families.map(async (family) => [family, await open(family)] as const));
  const drivers = new Map(answers.flatMap(([family, it]) => (it.kind === 'found' ? [[family, it.value]] : [])));
  const unread = new Map(answers.flatMap(([family, it]) => (it.kind === 'unknown' ? [[family, it]] : [])));
  requireSomeFamily(new Map(answers));
  if (drivers.size === 0) throw new UserError(`iptables does not work here: ${explain(unread)}`);
  return { drivers, unread };
}

/** Throws UserError where asking again would be of no use in any family: tools or rights are missing. */
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
