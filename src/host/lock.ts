/**
 * The write lock, which keeps one process from reading or writing while another one writes to the kernel. A tool that was started by
 * a process which was then killed goes on writing. It holds the lock until it ends, and the next process waits for it.
 *
 * This is not the tools' own lock (/run/xtables.lock): legacy iptables takes that itself, and would wait for its own parent.
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
import { errorCode, messageOf } from '../model/error-message';
import { CommandError, type RunCommand } from './command';

/** A folder, so that a container can share it with its host. */
const lockFolder = '/run/vipwire';
const lockWaitSeconds = 10;
/** flock's exit code where somebody else held the lock all that time. */
export const lockConflict = 75;
/**
 * Exit codes of util-linux's flock where the file cannot be opened, locked or made, or the tool cannot be started. The tools of the
 * kernel never exit with these.
 */
const lockFailures: readonly number[] = [66, 69, 71, 73];

/** The lock file of this network namespace; the name says what it protects. */
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
 * Makes the folder and the file if they do not exist, so that nobody else can open the file: whoever can open it can lock it, and so
 * stop our writes. Returns why that is not possible, or undefined.
 */
export function makeLockFile({ folder, path }: LockFile): string | undefined {
  try {
    makeFolder(folder);
    const owner = process.geteuid?.() ?? 0;
    const found = lstatSync(folder);
    if (!found.isDirectory()) return `${folder} is not a folder`;
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
 * The command that waits for the lock, and then runs `file` while it holds the lock. flock (util-linux) becomes the tool, so that
 * signals, exit code and output are the tool's. The kernel drops the lock when the last process that holds it ends, however it ends.
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
 * Waits until nobody holds the lock, before the first read of what the kernel holds. `unavailable`: there is no lock, because flock
 * is missing or is busybox's, or the file cannot be made. Go on without it then: in a container whose processes end with it, no tool
 * outlives its process.
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

/** Time for flock to start and to end. */
const graceMs = 10_000;

/** Commands that hold the lock while they run, or run without it where it is not available. */
export class WriteLock {
  readonly #lockFile: LockFile;
  readonly #tell: (reason: string | undefined) => void;
  #lastReason: string | undefined;

  /** @param tell is called once for each reason why there is no lock, and with undefined when there is a lock again. */
  constructor(lockFile: LockFile, tell: (reason: string | undefined) => void) {
    this.#lockFile = lockFile;
    this.#tell = tell;
  }

  /** Checks the file before each write: the folder may have been deleted, or made read-only, meanwhile. */
  readonly command = (file: string, args: readonly string[]): Command => {
    const reason = makeLockFile(this.#lockFile);
    this.#note(reason);
    return reason === undefined ? lockedCommand(this.#lockFile.path, file, args) : withoutLock(file, args);
  };

  /** Like `run`, but a command of `command` whose lock fails only when it runs is run again without it. */
  readonly orWithout =
    (run: RunCommand): RunCommand =>
    async (file, args, options) => {
      try {
        return await run(file, args, options);
      } catch (error) {
        const at = args.indexOf(this.#lockFile.path);
        const tool = args[at + 1];
        if (file !== 'flock' || at < 0 || tool === undefined || !isLockFailure(error)) throw error;
        this.#note(error.message);
        return run(tool, args.slice(at + 2), options);
      }
    };

  #note(reason: string | undefined): void {
    if (reason !== this.#lastReason) this.#tell(reason);
    this.#lastReason = reason;
  }
}

/** Whether flock failed before it could run the tool. */
function isLockFailure(error: unknown): error is CommandError {
  if (!(error instanceof CommandError)) return false;
  return error.notFound || (error.exitCode !== undefined && lockFailures.includes(error.exitCode));
}
