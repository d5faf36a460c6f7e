/** The tables of kube-proxy's nftables mode. kube-proxy itself removes them at a start in another mode, and by its clean-up. */
import { CommandError, type RunCommand, runCommand } from '../host/command';
import { findKubeProxy, leave, type LeaveOptions } from './leave';

const tables = ['ip kube-proxy', 'ip6 kube-proxy'];
const pauseMs = 60_000;

/** Returns those that went. Without the tool, or nf_tables in the kernel, there is nothing to remove. Throws where one stays. */
export async function removeNftTables(run: RunCommand): Promise<readonly string[]> {
  const found = await findTables(run);
  for (const table of found) await run('nft', ['delete', 'table', ...table.split(' ')]);
  const left = found.length === 0 ? [] : await findTables(run);
  if (left.length > 0) throw new Error(`still there after it was removed: ${left.join(', ')}`);
  return found;
}

/** In another mode, when its rules are in force: those of both would apply. Never rejects. */
export async function leaveNftTables(options: LeaveOptions, signal: AbortSignal): Promise<void> {
  const { log } = options;
  let said = '';
  const look = async (): Promise<boolean> => {
    const found = await findTables(runCommand);
    const why = found.length === 0 ? '' : await findKubeProxy();
    if (why === '') {
      const removed = await removeNftTables(runCommand);
      if (removed.length > 0) log.info({ tables: removed.join(', ') }, 'removed what nftables mode had left');
      return true;
    }
    if (why !== said)
      log.warn({ tables: found.join(', '), why, command: 'vipwire cleanup' }, 'rules of nftables mode stay');
    said = why;
    return false;
  };
  await leave({ question: 'what nftables mode has left', pauseMs, look }, options, signal);
}

async function findTables(run: RunCommand): Promise<string[]> {
  try {
    const { stdout } = await run('nft', ['list', 'tables']);
    const lines = new Set(stdout.split('\n').map((line) => line.trim()));
    return tables.filter((table) => lines.has(`table ${table}`));
  } catch (error) {
    if (error instanceof CommandError && (error.notFound || /not supported/i.test(error.stderr))) return [];
    throw error;
  }
}
