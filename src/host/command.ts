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

/** From the end of one command to the start of the next like it: not before a round is over, and the next one a second later. */
const prepareMs = 250;

/**
 * Runs commands that take input, and after each starts the next one like it, which then waits for its input: with a large
 * process around it, starting a tool takes as long as a small write. One that waits ends when its input does, and so with this
 * process, however that ends.
 */
export class PreparedCommands {
  private readonly kinds = new Map<string, PreparedKind>();
  private isClosed = false;

  readonly run: RunCommand = async (file, args, options = {}) => {
    if (options.input === undefined) return runCommand(file, args, options);
    const key = [file, ...args].join('\0');
    const kind = this.kinds.get(key) ?? { running: 0 };
    this.kinds.set(key, kind);
    // None is started beside one that runs: it might get the lock that the other waits for, and wait for its input with it.
    clearTimeout(kind.timer);
    kind.running++;
    const { ready } = kind;
    delete kind.ready;
    const command = ready === undefined || ready.hasEnded() ? startCommand(file, args, options) : ready;
    try {
      return await command.finish(options.input);
    } finally {
      kind.running--;
      if (kind.running === 0 && !this.isClosed)
        kind.timer = setTimeout(() => (kind.ready ??= startCommand(file, args, { input: '' })), prepareMs);
    }
  };

  /** Ends those that wait. */
  close(): void {
    this.isClosed = true;
    for (const { ready, timer } of this.kinds.values()) {
      clearTimeout(timer);
      ready?.finish().catch(() => undefined);
    }
    this.kinds.clear();
  }
}

/** Commands of one file and arguments. */
interface PreparedKind {
  running: number;
  /** Started, and waiting for its input. */
  ready?: StartedCommand;
  timer?: NodeJS.Timeout;
}
