/**
 * The write lock: what one process writes to the kernel, and what another reads of it. A tool that was started by a process
 * which was then killed goes on writing; it holds the lock until it ends, and who starts next waits for it.
 *
 * Never the tools' own lock (/run/xtables.lock): legacy iptables takes that itself, and would wait for its own parent.
 */
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
} from 'node:fs';
import { CommandError, type RunCommand } from './command';
import { errorCode, messageOf } from '../model/error-message';

/** A folder, so that a container can share it with its host. */
const lockFolder = '/run/vipwire';
const lockWaitSeconds = 10;
/** Exit code where somebody else held the lock all that time. */
export const lockConflict = 75;
/** util-linux's flock: the file cannot be opened, locked or made, or the tool not started. The tools of the kernel end with none of these. */
const lockFailures: readonly number[] = [66, 69, 71, 73];

/** A lock of this network namespace's own; the name tells what it guards. */
export function lockFileOf(name: string, folder = lockFolder): LockFile {
  return { folder, path: `${folder}/${name}${networkNamespace()}.lock` };
}

export interface LockFile {
  readonly folder: string;
  readonly path: string;
}

function networkNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/net').replace(/[^0-9]+(\d+).*/, '-$1');
  } catch {
    return '';
  }
}

/**
 * Makes the folder and the file, where they are not there, such that nobody else can open the file: whoever opens it can lock it,
 * and so keep us from writing. Returns why that cannot be.
 */
export function makeLockFile({ folder, path }: LockFile): string | undefined {
  try {
    makeFolder(folder);
    const owner = process.geteuid?.() ?? 0;
    const found = lstatSync(folder);
    if (!found.isDirectory()) return `${folder} is no folder`;
    if (found.uid !== owner) return `${folder} belongs to user ${found.uid}`;
    if ((found.mode & 0o777) !== 0o700) chmodSync(folder, 0o700);
    const { O_RDONLY, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
    const file = openSync(path, O_RDONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
    try {
      const { uid, mode } = fstatSync(file);
      if (uid !== owner) return `${path} belongs to user ${uid}`;
      if ((mode & 0o777) !== 0o600) fchmodSync(file, 0o600);
    } finally {
      closeSync(file);
    }
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
  }
}

/**
 * The command that runs `file` with the lock held, after whoever holds it now. flock (util-linux) becomes the tool: signals,
 * exit code and output are the tool's, and the kernel drops the lock when its last process ends, however it does.
 */
function lockedCommand(path: string, file: string, args: readonly string[]): Command {
  const wait = ['--timeout', `${lockWaitSeconds}`, '--conflict-exit-code', `${lockConflict}`];
  return { file: 'flock', args: ['--exclusive', ...wait, '--no-fork', path, file, ...args] };
}

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
}

/** The command as it is, for writes that need no lock. */
export function withoutLock(file: string, args: readonly string[]): Command {
  return { file, args };
}

/**
 * Waits until nobody holds the lock: before the first read of what the kernel holds. Where there is no lock (flock is missing, or is
 * busybox's; the file cannot be made) it says why. Go without then: in a container whose processes end with it, no tool outlives
 * its process.
 */
export async function waitForLock(
  run: RunCommand,
  lockFile: LockFile,
  timeoutMs: number,
): Promise<{ readonly kind: 'free' | 'held' } | { readonly kind: 'unavailable'; readonly reason: string }> {
  const reason = makeLockFile(lockFile);
  if (reason !== undefined) return { kind: 'unavailable', reason };
  const wait = ['--timeout', String(timeoutMs / 1_000), '--conflict-exit-code', `${lockConflict}`];
  try {
    const limit = { timeoutMs: timeoutMs + graceMs };
    await run('flock', ['--exclusive', ...wait, '--no-fork', lockFile.path, 'true'], limit);
    return { kind: 'free' };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return error.exitCode === lockConflict ? { kind: 'held' } : { kind: 'unavailable', reason: error.message };
  }
}

/** For flock to start and to end. */
const graceMs = 10_000;

/** Commands that run with a lock held, or without it where it cannot be had just now. */
export class WriteLock {
  private lastReason: string | undefined;

  /** @param tell is called with the reason where there is no lock, once for each reason, and with undefined when there is one again. */
  constructor(
    private readonly lockFile: LockFile,
    private readonly tell: (reason: string | undefined) => void,
  ) {}

  /** Looked at before each write: the folder may have been deleted, or made read-only, while we run. */
  readonly command = (file: string, args: readonly string[]): Command => {
    const reason = makeLockFile(this.lockFile);
    this.note(reason);
    return reason === undefined ? lockedCommand(this.lockFile.path, file, args) : withoutLock(file, args);
  };

  /** The same way to run commands, but for those of `command` whose lock fails only then: they run without it. */
  readonly orWithout =
    (run: RunCommand): RunCommand =>
    async (file, args, options) => {
      try {
        return await run(file, args, options);
      } catch (error) {
        const at = args.indexOf(this.lockFile.path);
        const tool = args[at + 1];
        if (file !== 'flock' || at < 0 || tool === undefined || !isLockFailure(error)) throw error;
        this.note((error as CommandError).message);
        return run(tool, args.slice(at + 2), options);
      }
    };

  private note(reason: string | undefined): void {
    if (reason !== this.lastReason) this.tell(reason);
    this.lastReason = reason;
  }
}

/** It says nothing about the tool, which did not run. */
function isLockFailure(error: unknown): boolean {
  if (!(error instanceof CommandError)) return false;
  return error.notFound || (error.exitCode !== undefined && lockFailures.includes(error.exitCode));
}
