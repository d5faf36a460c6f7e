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
    switch (invocation.kind) {
      case 'help':
      case 'version':
        stdout.write(invocation.text);
        return;
      case 'run':
        // Whatever a start that was cut short still waits for.
        process.exit(await run(invocation));
      case 'init':
        process.exitCode = await initNode(invocation);
        return;
      case 'status':
        process.exitCode = await status(invocation);
        return;
      case 'preflight':
        process.exitCode = await preflight(invocation);
        return;
      case 'render':
        process.exitCode = await render(invocation);
        return;
      case 'diff':
        process.exitCode = await diff(invocation);
        return;
      case 'explain':
        process.exitCode = await explain(invocation);
        return;
      case 'compare':
        process.exitCode = await compare(invocation);
        return;
      case 'cleanup':
        process.exitCode = await cleanup(invocation);
        return;
      case 'write-config':
        process.exitCode = await writeConfig(invocation);
        return;
      case 'config-check':
        process.exitCode = await checkConfig(invocation);
    }
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    process.stderr.write(`vipwire: ${error.message}\n`);
    process.exitCode = 2;
  }
}
