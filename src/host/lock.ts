/**
 * The write lock: what one process writes to the kernel, and what another reads of it. A tool that was started by a process
 * which was then killed goes on writing; it holds the lock until it ends, and who starts next waits for it.
 *
 * Never the tools' own lock (/run/xtables.lock): legacy iptables takes that itself, and would wait for its own parent.
 */
import { mkdir, readlink } from 'node:fs/promises';
import { CommandError, type RunCommand } from './command';

/** A folder, so that a container can share it with its host. */
const lockFolder = '/run/vipwire';
const lockWaitSeconds = 30;
/** Exit code where somebody else held the lock all that time. */
export const lockConflict = 75;

/** A lock of this network namespace's own; the name tells what it guards. Makes its folder, where that can be made. */
export async function lockFileOf(name: string): Promise<string> {
  const namespace = await readlink('/proc/self/ns/net').catch(() => '');
  await mkdir(lockFolder, { recursive: true }).catch(() => undefined);
  return `${lockFolder}/${name}${namespace.replace(/[^0-9]+(\d+).*/, '-$1')}.lock`;
}

/**
 * The command that runs `file` with the lock held, after whoever holds it now. flock (util-linux) becomes the tool: signals,
 * exit code and output are the tool's, and the kernel drops the lock when its last process ends, however it does.
 */
export function lockedCommand(
  lockFile: string,
  file: string,
  args: readonly string[],
): { readonly file: string; readonly args: readonly string[] } {
  const wait = ['--timeout', `${lockWaitSeconds}`, '--conflict-exit-code', `${lockConflict}`];
  return { file: 'flock', args: ['--exclusive', ...wait, '--no-fork', lockFile, file, ...args] };
}

/**
 * Waits until nobody holds the lock: before the first read of what the kernel holds. unavailable: flock is missing (util-linux's,
 * not busybox's) or the file cannot be made. Go without then: in a container whose processes end with it, no tool outlives its
 * process.
 */
export async function waitForLock(
  run: RunCommand,
  lockFile: string,
  timeoutMs: number,
): Promise<'free' | 'held' | 'unavailable'> {
  const wait = ['--timeout', String(timeoutMs / 1_000), '--conflict-exit-code', `${lockConflict}`];
  try {
    await run('flock', ['--exclusive', ...wait, '--no-fork', lockFile, 'true']);
    return 'free';
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return error.exitCode === lockConflict ? 'held' : 'unavailable';
  }
}
