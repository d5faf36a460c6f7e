/** Runs the host's tools, never through a shell. */
import { type ToolEnd, ToolProcess } from './tool-process';

export interface CommandResult {
  readonly stdout: string;
  /** What a tool that succeeded has to say besides. */
  readonly stderr?: string;
  readonly durationMs: number;
}

export interface CommandOptions {
  readonly input?: string;
  /** From the moment at which it has its input. Without it: defaultLimitMs. */
  readonly timeoutMs?: number;
  /** Called with each line of stdout, which is then not kept: CommandResult.stdout is ''. */
  readonly onLine?: (line: string) => void;
  /** All of its environment, for what is no tool of the kernel. Without it: PATH and LC_ALL. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** No tool is waited for without a limit. */
export const defaultLimitMs = 30_000;

/** How a tool failed. */
export interface CommandFailure {
  /** undefined where it did not end by itself, or never started. */
  readonly exitCode: number | undefined;
  readonly stderr: string;
  readonly durationMs: number;
  /** The tool is not on this machine. Without it: it is. */
  readonly notFound?: boolean;
  /** It was ended after so long. What it had done by then is not known. */
  readonly limitMs?: number | undefined;
}

/** A tool that failed: its name, exit code, first line of stderr and duration are the message. */
export class CommandError extends Error implements CommandFailure {
  override readonly name = 'CommandError';
  readonly exitCode: number | undefined;
  readonly stderr: string;
  readonly durationMs: number;
  readonly notFound: boolean;
  readonly limitMs: number | undefined;

  constructor(
    readonly command: string,
    { exitCode, stderr, durationMs, notFound = false, limitMs }: CommandFailure,
  ) {
    const firstLine = stderr.split('\n').find((line) => line.trim() !== '');
    const ended = `exit ${exitCode ?? 'by signal'} after ${Math.round(durationMs)} ms`;
    const why =
      limitMs === undefined
        ? ended
        : `did not end within ${limitMs < 1000 ? limitMs / 1000 : Math.round(limitMs / 1000)} s`;
    super(`${command}: ${notFound ? 'not found' : why}${firstLine === undefined ? '' : `: ${firstLine.trim()}`}`);
    this.exitCode = exitCode;
    this.stderr = stderr;
    this.durationMs = durationMs;
    this.notFound = notFound;
    this.limitMs = limitMs;
  }
}

/** The one way to run a tool; tests put a stateful fake in its place. Throws CommandError. */
export type RunCommand = (file: string, args: readonly string[], options?: CommandOptions) => Promise<CommandResult>;

export const runCommand: RunCommand = (file, args, options = {}) =>
  finish(file, new ToolProcess(file, args, options.input !== undefined, options.environment), options);

async function finish(file: string, tool: ToolProcess, options: CommandOptions): Promise<CommandResult> {
  const { input = '', timeoutMs = defaultLimitMs, onLine } = options;
  const startedMs = performance.now();
  const end = await tool.finish(input, timeoutMs, onLine);
  const durationMs = performance.now() - startedMs;
  if (end.kind !== 'exit' || end.code !== 0) throw new CommandError(file, failureOf(end, tool.stderr, durationMs));
  return { stdout: tool.stdout, stderr: tool.stderr, durationMs };
}

function failureOf(end: ToolEnd, stderr: string, durationMs: number): CommandFailure {
  const withoutCode = { exitCode: undefined, stderr, durationMs };
  switch (end.kind) {
    case 'exit':
      return { exitCode: end.code, stderr, durationMs };
    case 'signal':
      return { ...withoutCode, stderr: stderr === '' ? end.signal : stderr };
    case 'not found':
      return { ...withoutCode, stderr: '', notFound: true };
    case 'not started':
      return { ...withoutCode, stderr: `it cannot be started: ${end.reason}` };
    case 'too long':
      return { ...withoutCode, limitMs: end.limitMs };
    case 'too much output':
      return { ...withoutCode, stderr: 'it prints without end' };
  }
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
    const tool = ready === undefined || ready.hasEnded ? new ToolProcess(file, args, true) : ready;
    try {
      return await finish(file, tool, options);
    } finally {
      kind.running--;
      if (kind.running === 0 && !this.isClosed)
        kind.timer = setTimeout(() => (kind.ready ??= new ToolProcess(file, args, true)), prepareMs);
    }
  };

  /** Ends those that wait. */
  close(): void {
    this.isClosed = true;
    for (const { ready, timer } of this.kinds.values()) {
      clearTimeout(timer);
      ready?.finish('', defaultLimitMs).catch(() => undefined);
    }
    this.kinds.clear();
  }
}

/** Commands of one file and arguments. */
interface PreparedKind {
  running: number;
  /** Started, and waiting for its input. */
  ready?: ToolProcess;
  timer?: NodeJS.Timeout;
}
