/** The text of single chains, of a table that iptables-save does not print. */
import { CommandError, type RunCommand } from '../host/command';
import { asWritten } from './parse-save';
import type { TableName } from './rules';

/** Chains that the tool could not print: after so many the others are left out too. */
const mostFailures = 16;
const timeoutMs = 30_000;

/**
 * Chain -> its `-A` lines. Asked for in one call: `-S CHAIN` is a command as any other to iptables-nft-restore, and changes nothing.
 * It ends at the first chain that it cannot print, which is left out; so are all where the tool knows no such command.
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
  /** The first that was not printed whole; undefined: all were. */
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
    // It names the chain, or ends in the middle of it.
    const named = /chain [`'"]([^`'"]+)['"]/i.exec(error.stderr)?.[1];
    return { printed, failed: named !== undefined && chains.includes(named) ? named : last === '' ? chains[0] : last };
  }
}
