/** Runs the host's tools, never through a shell. */
import { type ToolEnd, ToolProcess } from './tool-process';

export interface CommandResult {
  readonly stdout: string;
  /** Warnings of a tool that succeeded. */
  readonly stderr?: string;
  readonly durationMs: number;
}

export interface CommandOptions {
  readonly input?: string;
  /** The limit, from the moment at which the tool has its input. Default: defaultLimitMs. */
  readonly timeoutMs?: number;
  /** Called with each line of stdout, which is then not kept: CommandResult.stdout is ''. */
  readonly onLine?: (line: string) => void;
  /** The whole environment of the tool. Default: only PATH and LC_ALL, as all tools of the kernel get. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** The limit of a tool that has none of its own, in milliseconds. */
export const defaultLimitMs = 30_000;

/** How a tool failed. */
export interface CommandFailure {
  /** undefined where it did not end by itself, or was not started. */
  readonly exitCode: number | undefined;
  readonly stderr: string;
  readonly durationMs: number;
  /** The tool is not on this machine. Default: false. */
  readonly notFound?: boolean;
  /** It was ended after this time. It is not known what it had done by then. */
  readonly limitMs?: number | undefined;
}

/** A tool failed. The message has its name, the exit code, the duration and the first line of stderr. */
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

/** The only way to run a tool; tests replace it by a fake with a state. Throws CommandError. */
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

/** From the end of a command to the start of the next one like it. A round is over by then, and the next round is a second later. */
const prepareMs = 250;

/**
 * Runs commands that take input, and after each one starts the next one like it, which then waits for its input: starting a tool
 * from a large process takes as long as a small write. A tool that waits ends when its input is closed, and so it ends with this
 * process, however this process ends.
 */
export class PreparedCommands {
  readonly #kinds = new Map<string, PreparedKind>();
  #isClosed = false;

  readonly run: RunCommand = async (file, args, options = {}) => {
    if (options.input === undefined) return runCommand(file, args, options);
    const key = [file, ...args].join('\0');
    const kind = this.#kinds.get(key) ?? { running: 0 };
    this.#kinds.set(key, kind);
    // Nothing is started while one runs: it might get the lock that the running one waits for, and keep it while it waits for input.
    clearTimeout(kind.timer);
    kind.running++;
    const { ready } = kind;
    delete kind.ready;
    const tool = ready === undefined || ready.hasEnded ? new ToolProcess(file, args, true) : ready;
    try {
      return await finish(file, tool, options);
    } finally {
      kind.running--;
      if (kind.running === 0 && !this.#isClosed)
        kind.timer = setTimeout(() => (kind.ready ??= new ToolProcess(file, args, true)), prepareMs);
    }
  };

  /** Ends the tools that wait for input. */
  close(): void {
    this.#isClosed = true;
    for (const { ready, timer } of this.#kinds.values()) {
      clearTimeout(timer);
      ready?.finish('', defaultLimitMs).catch(() => undefined);
    }
    this.#kinds.clear();
  }
}

/** Commands with the same file and arguments. */
interface PreparedKind {
  running: number;
  /** Started, and waiting for its input. */
  ready?: ToolProcess;
  timer?: NodeJS.Timeout;
}
