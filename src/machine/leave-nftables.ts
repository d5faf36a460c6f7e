/**
 * Removes the tables of kube-proxy's nftables mode. kube-proxy itself removes them when it starts in another mode, and by its
 * own --cleanup.
 */
import { CommandError, runCommand } from '../host/command';
import { messageOf } from '../model/error-message';
import type { Logger } from '../telemetry/log';
import { findKubeProxy, type LeaveOptions, type Leftovers } from './leave';

const tables = ['ip kube-proxy', 'ip6 kube-proxy'];
const pauseMs = 60_000;

/** For `vipwire cleanup`. Logs what it removed, and returns whether all is gone. Never rejects. */
export async function cleanUpNftTables(log: Logger): Promise<boolean> {
  try {
    const removed = await removeTables();
    if (removed.length > 0) log.info({ tables: removed.join(', ') }, 'removed of nftables mode');
    return true;
  } catch (error) {
    log.error({ reason: messageOf(error) }, 'cannot clean up nftables');
    return false;
  }
}

/** For a mode of ours, once its rules are in force, since the rules of both apply. */
export function leftNftTables({ log }: Pick<LeaveOptions, 'log'>): Leftovers {
  let said = '';
  const look = async (): Promise<boolean> => {
    const found = await findTables();
    const why = found.length === 0 ? '' : await findKubeProxy();
    if (why === '') {
      const removed = await removeTables();
      if (removed.length > 0) log.info({ tables: removed.join(', ') }, 'removed what nftables mode had left');
      return true;
    }
    if (why !== said)
      log.warn({ tables: found.join(', '), why, command: 'vipwire cleanup' }, 'rules of nftables mode stay');
    said = why;
    return false;
  };
  return { question: 'what nftables mode has left', pauseMs, look };
}

/** Returns the tables that it removed. Without nft, or nf_tables in the kernel, there are none. Throws where one stays. */
async function removeTables(): Promise<readonly string[]> {
  const found = await findTables();
  for (const table of found) await runCommand('nft', ['delete', 'table', ...table.split(' ')]);
  const left = found.length === 0 ? [] : await findTables();
  if (left.length > 0) throw new Error(`still there after it was removed: ${left.join(', ')}`);
  return found;
}

async function findTables(): Promise<string[]> {
  try {
    const { stdout } = await runCommand('nft', ['list', 'tables']);
    const lines = new Set(stdout.split('\n').map((line) => line.trim()));
    return tables.filter((table) => lines.has(`table ${table}`));
  } catch (error) {
    if (error instanceof CommandError && (error.notFound || /not supported/i.test(error.stderr))) return [];
    throw error;
  }
}
