/** Runs the command that the command line asks for. A user's mistake is one line, and exit 2. */
import { endOnFaults } from '../daemon/last-resort';
import { errorCode } from '../model/error-message';
import { UserError } from '../model/user-error';
import { createLogger } from '../telemetry/logger';
import { cleanup } from './cleanup';
import { parseCommandLine } from './command-line';
import { compare } from './compare';
import { checkConfig, writeConfig } from './config-commands';
import { diff } from './diff';
import { explain } from './explain';
import { initNode } from './init-node';
import type { Invocation, RunInvocation } from './invocation';
import { preflight } from './preflight';
import { render } from './render';
import { run } from './run';
import { status } from './status';

export async function main(argv: readonly string[]): Promise<void> {
  endOnFaults(createLogger({ verbosity: 0, format: 'text' }));
  process.stdout.on('error', (error: Error) => {
    // A reader that goes away (`vipwire render | head`) is not an error.
    const isClosed = errorCode(error) === 'EPIPE';
    if (!isClosed) process.stderr.write(`vipwire: standard output: ${error.message}\n`);
    process.exit(isClosed ? 0 : 1);
  });
  // Neither is a log that nobody reads any more.
  process.stderr.on('error', () => undefined);
  try {
    const { env, stdout } = process;
    const invocation = parseCommandLine(argv, { environment: env, columns: stdout.columns });
    if ('text' in invocation) stdout.write(invocation.text);
    // It exits even if an interrupted start still waits for something.
    else if (invocation.kind === 'run') process.exit(await run(invocation));
    else process.exitCode = await execute(invocation);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    process.stderr.write(`vipwire: ${error.message}\n`);
    process.exitCode = 2;
  }
}

/** Runs a command that ends by itself. Returns its exit code. */
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
