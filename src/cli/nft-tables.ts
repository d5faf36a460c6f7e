/** The tables of kube-proxy's nftables mode, which its own clean-up removes whatever mode it runs in. */
import { CommandError, type RunCommand } from '../host/command';

const tables = ['ip kube-proxy', 'ip6 kube-proxy'];

/** Returns those that went. Without the tool, or nf_tables in the kernel, there is nothing to remove. Throws where one stays. */
export async function removeNftTables(run: RunCommand): Promise<readonly string[]> {
  const found = await findTables(run);
  for (const table of found) await run('nft', ['delete', 'table', ...table.split(' ')]);
  const left = found.length === 0 ? [] : await findTables(run);
  if (left.length > 0) throw new Error(`still there after it was removed: ${left.join(', ')}`);
  return found;
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
