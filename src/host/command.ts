/** Runs the host's tools, never through a shell. */
import { execa } from 'execa';

export interface CommandResult {
  readonly stdout: string;
  readonly durationMs: number;
}

export interface CommandOptions {
  readonly input?: string;
  readonly timeoutMs?: number;
  /** Called with each line of stdout, which is then not kept: CommandResult.stdout is ''. */
  readonly onLine?: (line: string) => void;
}

/** A tool that failed: its name, exit code, first line of stderr and duration are the message. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  constructor(
    readonly command: string,
    readonly exitCode: number | undefined,
    readonly stderr: string,
    readonly durationMs: number,
    /** The tool is not on this machine. */
    readonly notFound: boolean,
  ) {
    const firstLine = stderr.split('\n').find((line) => line.trim() !== '');
    const why = notFound ? 'not found' : `exit ${exitCode ?? 'by signal'} after ${Math.round(durationMs)} ms`;
    super(`${command}: ${why}${firstLine === undefined ? '' : `: ${firstLine.trim()}`}`);
  }
}

/** The one way to run a tool; tests put a stateful fake in its place. Throws CommandError. */
export type RunCommand = (file: string, args: readonly string[], options?: CommandOptions) => Promise<CommandResult>;

export const runCommand: RunCommand = async (file, args, options = {}) => {
  const start = performance.now();
  const child = execa(file, args, {
    env: { LC_ALL: 'C' },
    ...(options.input === undefined ? { stdin: 'ignore' } : { input: options.input }),
    ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs }),
    buffer: { stdout: options.onLine === undefined, stderr: true },
    maxBuffer: 1 << 30,
    stripFinalNewline: false,
    reject: false,
    // A terminating agent finishes the write in hand: its children must not die of the terminal's Ctrl-C or with it.
    cleanup: false,
    detached: true,
  });
  if (options.onLine !== undefined) for await (const line of child) options.onLine(line);
  const result = await child;
  const durationMs = performance.now() - start;
  if (result.failed) {
    const notFound = result.code === 'ENOENT';
    const message = result.stderr === '' && !notFound ? (result.originalMessage ?? '') : result.stderr;
    throw new CommandError(file, result.exitCode, message, durationMs, notFound);
  }
  return { stdout: options.onLine === undefined ? result.stdout : '', durationMs };
};
