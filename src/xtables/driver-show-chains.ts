/** Reads the text of single chains of a table that iptables-save does not print. */
import { CommandError, type RunCommand } from '../host/command';
import { asWritten } from './parse-save';
import type { TableName } from './rules';

/** After this many chains that the tool could not print, the remaining ones are left out. */
const mostFailures = 16;
const timeoutMs = 30_000;

/**
 * Returns chain -> its `-A` lines. It asks for all chains in one call: iptables-nft-restore takes `-S CHAIN` as any other command,
 * and that changes nothing. The call ends at a chain that the tool cannot print; that chain is left out, and another call
 * asks for the rest. Where the tool does not know the command, all are left out.
 */
export async function showChains(
  run: RunCommand,
  tool: string,
  table: TableName,
  chains: readonly string[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const shown = new Map<string, readonly string[]>();
  let left = chains;
  for (let failures = 0; left.length > 0 && failures < mostFailures; failures++) {
    const { printed, failed } = await showSome(run, tool, table, left);
    if (failed === undefined) {
      for (const [chain, lines] of printed) shown.set(chain, lines);
      return shown;
    }
    const at = left.indexOf(failed);
    if (at < 0) return shown;
    for (const chain of left.slice(0, at)) {
      const lines = printed.get(chain);
      if (lines !== undefined) shown.set(chain, lines);
    }
    left = left.slice(at + 1);
  }
  return shown;
}

interface SomeChains {
  readonly printed: ReadonlyMap<string, readonly string[]>;
  /** The first chain that was not printed in full. undefined: all were. */
  readonly failed: string | undefined;
}

async function showSome(
  run: RunCommand,
  tool: string,
  table: TableName,
  chains: readonly string[],
): Promise<SomeChains> {
  const printed = new Map<string, string[]>();
  let last = '';
  const onLine = (line: string): void => {
    const [command = '', chain = ''] = line.split(' ', 2);
    if (command === '-N' || command === '-P') printed.set((last = chain), []);
    else if (command === '-A') printed.get(chain)?.push(asWritten(line));
  };
  const input = [`*${table}`, ...chains.map((chain) => `-S ${chain}`), 'COMMIT', ''].join('\n');
  try {
    await run(tool, ['--noflush'], { input, onLine, timeoutMs });
    return { printed, failed: chains.find((chain) => !printed.has(chain)) };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    // The tool names the chain, or its output ends in the middle of it.
    const named = /chain [`'"]([^`'"]+)['"]/i.exec(error.stderr)?.[1];
    return { printed, failed: named !== undefined && chains.includes(named) ? named : last === '' ? chains[0] : last };
  }
}
