/**
 * Removes the tables of nftables mode, kube-proxy's and ours, which have the same names. kube-proxy itself removes them when it starts in
 * another mode, and by its own --cleanup.
 */
import { TableMessages } from '../backends/nftables/driver-messages';
import { tableName } from '../backends/nftables/objects';
import { printTableName } from '../backends/nftables/print';
import { CommandError, runCommand } from '../host/command';
import { NetlinkError, NetlinkUnavailableError } from '../host/netlink';
import { NfTables } from '../host/nf-tables';
import { commitTransaction } from '../host/nf-transaction';
import { families, type Family } from '../model/address';
import { messageOf } from '../model/error-message';
import type { Logger } from '../telemetry/log';
import { findKubeProxy, type LeaveOptions, type Leftovers } from './leave';

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
      log.warn(
        { tables: found.map(printTableName).join(', '), why, command: 'vipwire cleanup' },
        'rules of nftables mode stay',
      );
    said = why;
    return false;
  };
  return { question: 'what nftables mode has left', pauseMs, look };
}

/** Returns the tables that it removed. Without nf_tables in the kernel there are none. Throws where one stays. */
async function removeTables(): Promise<readonly string[]> {
  const found = await findTables();
  for (const family of found) await removeTable(family);
  const left = found.length === 0 ? [] : await findTables();
  if (left.length > 0) throw new Error(`still there after it was removed: ${left.map(printTableName).join(', ')}`);
  return found.map(printTableName);
}

async function removeTable(family: Family): Promise<void> {
  try {
    await commitTransaction([new TableMessages(family).deleteTable()]);
  } catch (error) {
    if (error instanceof NetlinkUnavailableError)
      await runCommand('nft', ['delete', 'table', ...printTableName(family).split(' ')]);
    // Somebody else deleted it meanwhile.
    else if (!(error instanceof NetlinkError && error.code === 'ENOENT')) throw error;
  }
}

/** Throws where it cannot be told. */
async function findTables(): Promise<Family[]> {
  const found: Family[] = [];
  for (const family of families) if (await hasTable(family)) found.push(family);
  return found;
}

async function hasTable(family: Family): Promise<boolean> {
  const nfTables = new NfTables(family);
  try {
    return (await nfTables.readTables()).some(({ name }) => name === tableName);
  } catch (error) {
    if (error instanceof NetlinkUnavailableError) return await hasTableByTool(family);
    // The kernel has no nf_tables.
    if (error instanceof NetlinkError && error.code === 'EINVAL') return false;
    throw error;
  } finally {
    nfTables.close();
  }
}

async function hasTableByTool(family: Family): Promise<boolean> {
  try {
    const { stdout } = await runCommand('nft', ['list', 'tables']);
    return stdout.split('\n').some((line) => line.trim() === `table ${printTableName(family)}`);
  } catch (error) {
    if (error instanceof CommandError && (error.notFound || /not supported/i.test(error.stderr))) return false;
    throw error;
  }
}
