/** Starts what the command line asks for. A user's mistake is one line and exit 2. */
import { UserError } from '../model/user-error';
import { createLogger } from '../telemetry/logger';
import { cleanup } from './cleanup';
import { compare } from './compare';
import { explain } from './explain';
import { diff } from './diff';
import { parseCommandLine } from './command-line';
import { checkConfig, writeConfig } from './config-commands';
import { initNode } from './init-node';
import type { Invocation, RunInvocation } from './invocation';
import { endOnFaults } from '../daemon/last-resort';
import { preflight } from './preflight';
import { render } from './render';
import { run } from './run';
import { status } from './status';

export async function main(argv: readonly string[]): Promise<void> {
  endOnFaults(createLogger({ verbosity: 0, format: 'text' }));
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // A reader that goes away (`vipwire render | head`) is no error.
    if (error.code !== 'EPIPE') process.stderr.write(`vipwire: standard output: ${error.message}\n`);
    process.exit(error.code === 'EPIPE' ? 0 : 1);
  });
  // Nor is a log that nobody takes any more.
  process.stderr.on('error', () => undefined);
  try {
    const { env, stdout } = process;
    const invocation = parseCommandLine(argv, { environment: env, columns: stdout.columns });
    if ('text' in invocation) stdout.write(invocation.text);
    // Whatever a start that was cut short still waits for.
    else if (invocation.kind === 'run') process.exit(await run(invocation));
    else process.exitCode = await execute(invocation);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    process.stderr.write(`vipwire: ${error.message}\n`);
    process.exitCode = 2;
  }
}

/** A command that ends by itself; its exit code. */
function execute(invocation: Exclude<Invocation, RunInvocation | { readonly text: string }>): Promise<number> {
  switch (invocation.kind) {
    case 'init':
      return initNode(invocation);
    case 'status':
      return status(invocation);
    case 'preflight':
      return preflight(invocation);
    case 'render':
      return render(invocation);
    case 'diff':
      return diff(invocation);
    case 'explain':
      return explain(invocation);
    case 'compare':
      return compare(invocation);
    case 'cleanup':
      return cleanup(invocation);
    case 'write-config':
      return writeConfig(invocation);
    case 'config-check':
      return checkConfig(invocation);
  }
}
