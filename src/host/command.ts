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

export const runCommand: RunCommand = (file, args, options = {}) =>
  startCommand(file, args, options).finish(options.input);

/** A command that has been started; its input may come later. */
export interface StartedCommand {
  /** It ended before it was given its input. */
  readonly hasEnded: () => boolean;
  /** Gives the input, '' for none, and waits for the end. Throws CommandError. */
  finish(input?: string): Promise<CommandResult>;
}

function startCommand(file: string, args: readonly string[], options: CommandOptions): StartedCommand {
  const child = execa(file, args, {
    env: { LC_ALL: 'C' },
    stdin: options.input === undefined ? 'ignore' : 'pipe',
    ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs }),
    buffer: { stdout: options.onLine === undefined, stderr: true },
    maxBuffer: 1 << 30,
    stripFinalNewline: false,
    reject: false,
    // A terminating agent finishes the write in hand: its children must not die of the terminal's Ctrl-C or with it.
    cleanup: false,
    detached: true,
  });
  // A tool that ends before it has read everything says why by its exit code.
  child.stdin?.on('error', () => undefined);
  let hasEnded = false;
  void child.finally(() => (hasEnded = true));
  const finish = async (input?: string): Promise<CommandResult> => {
    const startedMs = performance.now();
    child.stdin?.end(input ?? '');
    if (options.onLine !== undefined) for await (const line of child) options.onLine(line);
    const result = await child;
    const durationMs = performance.now() - startedMs;
    if (result.failed) {
      const notFound = result.code === 'ENOENT';
      const message = result.stderr === '' && !notFound ? (result.originalMessage ?? '') : result.stderr;
      throw new CommandError(file, result.exitCode, message, durationMs, notFound);
    }
    return { stdout: options.onLine === undefined ? result.stdout : '', durationMs };
  };
  return { hasEnded: () => hasEnded, finish };
}

/**
 * Runs commands that take input, and after each starts the next one like it, which then waits for its input: with a large
 * process around it, starting a tool takes as long as a small write. One that waits ends when its input does, and so with this
 * process, however that ends.
 */
export class PreparedCommands {
  private readonly ready = new Map<string, StartedCommand>();
  private isClosed = false;

  readonly run: RunCommand = async (file, args, options = {}) => {
    if (options.input === undefined) return runCommand(file, args, options);
    const key = [file, ...args].join('\0');
    const waiting = this.ready.get(key);
    this.ready.delete(key);
    const command = waiting === undefined || waiting.hasEnded() ? startCommand(file, args, options) : waiting;
    try {
      return await command.finish(options.input);
    } finally {
      // Not before the answer is in use.
      setTimeout(() => this.prepare(key, file, args), 20);
    }
  };

  /** Ends those that wait. */
  close(): void {
    this.isClosed = true;
    for (const command of this.ready.values()) command.finish().catch(() => undefined);
    this.ready.clear();
  }

  private prepare(key: string, file: string, args: readonly string[]): void {
    if (!this.isClosed && !this.ready.has(key)) this.ready.set(key, startCommand(file, args, { input: '' }));
  }
}
