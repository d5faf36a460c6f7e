/** /run/xtables.lock, which the legacy iptables tools take for each read and write. */
import { readFile, stat } from 'node:fs/promises';

const lockFile = '/run/xtables.lock';

/**
 * Who holds the lock: `flock (pid 4711)`. '' where somebody does and /proc does not tell who; undefined where nobody does, or where
 * it cannot be told.
 */
export async function findXtablesLockHolder(file = lockFile): Promise<string | undefined> {
  try {
    const [{ ino }, locks] = await Promise.all([stat(file), readFile('/proc/locks', 'utf8')]);
    const pid = holderOf(locks, ino);
    if (pid === undefined) return undefined;
    // 0: of another PID namespace.
    if (pid === 0) return '';
    const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
    return name === '' ? `pid ${pid}` : `${name.trim()} (pid ${pid})`;
  } catch {
    return undefined;
  }
}

/** `1: FLOCK  ADVISORY  WRITE 11032 fe:00:16637953 0 EOF`; those who wait have an arrow. The device may be another one's number. */
export function holderOf(locks: string, inode: number): number | undefined {
  for (const line of locks.split('\n')) {
    const [, pid, of] = /^\d+: FLOCK +\S+ +WRITE (-?\d+) \S+:(\d+) /.exec(line) ?? [];
    if (of !== undefined && Number(of) === inode) return Math.max(0, Number(pid));
  }
  return undefined;
}
