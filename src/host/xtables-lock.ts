/** /run/xtables.lock, which the legacy iptables tools take for each read and write. */
import { readFile, stat } from 'node:fs/promises';

const lockFile = '/run/xtables.lock';

/**
 * Returns who holds the lock, such as `flock (pid 4711)`; '' where /proc does not say who holds it; undefined where nobody holds it,
 * or where that cannot be found out.
 */
export async function findXtablesLockHolder(file = lockFile): Promise<string | undefined> {
  try {
    const [{ ino }, locks] = await Promise.all([stat(file), readFile('/proc/locks', 'utf8')]);
    const pid = holderOf(locks, ino);
    if (pid === undefined) return undefined;
    // 0: a process of another PID namespace.
    if (pid === 0) return '';
    const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
    return name === '' ? `pid ${pid}` : `${name.trim()} (pid ${pid})`;
  } catch {
    return undefined;
  }
}

/**
 * Parses lines such as `1: FLOCK  ADVISORY  WRITE 11032 fe:00:16637953 0 EOF`. Lines of processes that wait have an arrow. The device
 * is not compared, since its number may differ.
 */
export function holderOf(locks: string, inode: number): number | undefined {
  for (const line of locks.split('\n')) {
    const [, pid, of] = /^\d+: FLOCK +\S+ +WRITE (-?\d+) \S+:(\d+) /.exec(line) ?? [];
    if (of !== undefined && Number(of) === inode) return Math.max(0, Number(pid));
  }
  return undefined;
}
