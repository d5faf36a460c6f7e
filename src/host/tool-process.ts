/**
 * A tool of the host as a process. Whatever happens, it comes to an end that is told: also where it cannot be started, does not
 * end by itself, or leaves its output to a process of its own.
 */
import type { ChildProcess } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { StringDecoder } from 'node:string_decoder';
import { execa } from 'execa';

/** How a tool ended. */
export type ToolEnd =
  | { readonly kind: 'exit'; readonly code: number }
  | { readonly kind: 'signal'; readonly signal: string }
  | { readonly kind: 'not found' }
  /** No process, file or memory is left for it: it may start at another time. */
  | { readonly kind: 'not started'; readonly reason: string }
  /** It was told to end. What it had done by then is not known. */
  | { readonly kind: 'too long'; readonly limitMs: number }
  | { readonly kind: 'too much output' };

/** After SIGTERM, before SIGKILL. */
const graceMs = 2000;
/** After SIGKILL: a process that hangs in the kernel does not end of it, and is waited for no longer. */
const lastMs = 1000;
/** After its end, while nothing more is printed: another process may hold the pipe. */
const quietMs = 250;
/** What is kept of stdout; of stderr only the beginning is, and the rest is dropped. */
const mostOutput = 256 << 20;
const mostStderr = 64 << 10;
const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** All that a tool of the kernel gets: variables such as XTABLES_LOCKFILE and XTABLES_LIBDIR change what it does. */
export function toolEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'] ?? defaultPath, LC_ALL: 'C' };
}

/**
 * The process, which tells by an 'error' event where it cannot be started. Throws where not even that much could be made.
 * @param onFailed is called where there is no event either: execa has taken what spawn threw.
 */
export function startTool(
  [file, ...args]: readonly [string, ...string[]],
  takesInput: boolean,
  environment: NodeJS.ProcessEnv,
  onFailed: (error: NodeJS.ErrnoException) => void,
): ChildProcess {
  let made: ChildProcess | undefined;
  const remember = (message: unknown): void => {
    made = (message as { readonly process: ChildProcess }).process;
    made.on('error', () => undefined);
  };
  // Where no file is left for the pipes, execa throws, and nobody listens to the process that it has made.
  subscribe('child_process', remember);
  try {
    const tool = execa(file, args, {
      env: environment,
      extendEnv: false,
      stdin: takesInput ? 'pipe' : 'ignore',
      // What it prints is read here, line by line where that is asked for.
      buffer: false,
      reject: false,
      // A process group of its own: it does not die of the terminal's Ctrl-C, and can be ended with all its children.
      detached: true,
      cleanup: false,
    });
    void tool.then(({ cause }) => {
      if (tool.pid === undefined && cause instanceof Error) onFailed(cause);
    });
    return tool;
  } catch (error) {
    if (made === undefined) throw error;
    return made;
  } finally {
    unsubscribe('child_process', remember);
  }
}

/** None, against the types, where no file was left for them. */
function streamsOf(child: ChildProcess | undefined): readonly (ChildProcess['stdio'][number] | undefined)[] {
  return (child as Partial<ChildProcess> | undefined)?.stdio ?? [];
}

export class ToolProcess {
  /** Never rejects. */
  readonly ended: Promise<ToolEnd>;
  #end: ToolEnd | undefined;
  #resolve!: (end: ToolEnd) => void;
  #child: ChildProcess | undefined;
  /** What it is being ended for. */
  #reason: ToolEnd | undefined;
  #stdout = '';
  #stderr = '';
  #onLine: ((line: string) => void) | undefined;
  #lineFailure: { readonly error: unknown } | undefined;
  #readsSince = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param environment all that it gets, instead of toolEnvironment. */
  constructor(file: string, args: readonly string[], takesInput: boolean, environment = toolEnvironment()) {
    this.ended = new Promise((resolve) => (this.#resolve = resolve));
    try {
      const child = startTool([file, ...args], takesInput, environment, (error) => this.#failed(error));
      this.#child = child;
      child.on('error', (error: NodeJS.ErrnoException) => this.#failed(error));
      child.on('exit', (code, signal) => this.#exited(code, signal));
      // A tool that ends before it has read everything says why by its exit code.
      for (const stream of streamsOf(child)) stream?.on('error', () => undefined);
    } catch (error) {
      // ENOMEM is thrown, EAGAIN and EMFILE are told.
      this.#failed(error as NodeJS.ErrnoException);
    }
  }

  get hasEnded(): boolean {
    return this.#end !== undefined;
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Gives the input, and begins to read and to count the time. Resolves at the end. Rejects with what onLine throws. */
  async finish(input: string, limitMs: number, onLine?: (line: string) => void): Promise<ToolEnd> {
    this.#onLine = onLine;
    if (this.#end === undefined) {
      this.#timer = setTimeout(() => this.#stop({ kind: 'too long', limitMs }), limitMs);
      this.#read();
      // No streams where there were no files for them.
      this.#child?.stdin?.end(input);
    }
    const end = await this.ended;
    if (this.#lineFailure !== undefined) throw this.#lineFailure.error;
    return end;
  }

  #read(): void {
    const { stdout, stderr } = this.#child ?? {};
    const decoder = new StringDecoder('utf8');
    let rest = '';
    stdout?.on('data', (chunk: Buffer) => {
      this.#readsSince++;
      const text = decoder.write(chunk);
      if (this.#onLine === undefined) {
        if (this.#stdout.length + text.length > mostOutput) this.#stop({ kind: 'too much output' });
        else this.#stdout += text;
        return;
      }
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#tell(line);
      if (rest.length > mostOutput) this.#stop({ kind: 'too much output' });
    });
    stdout?.on('end', () => {
      if (rest !== '') this.#tell(rest);
    });
    stderr?.on('data', (chunk: Buffer) => {
      this.#readsSince++;
      if (this.#stderr.length < mostStderr) this.#stderr += chunk.toString('utf8');
    });
  }

  #tell(line: string): void {
    if (this.#lineFailure !== undefined || this.#end !== undefined) return;
    try {
      this.#onLine?.(line);
    } catch (error) {
      this.#lineFailure = { error };
      this.#stop({ kind: 'signal', signal: 'SIGTERM' });
    }
  }

  #failed(error: NodeJS.ErrnoException): void {
    // An error that comes later is a signal which could not be sent.
    if (this.#child?.pid !== undefined) return;
    this.#settle(error.code === 'ENOENT' ? { kind: 'not found' } : { kind: 'not started', reason: error.message });
  }

  #exited(code: number | null, signal: string | null): void {
    // What else there is of its group, where it was ended.
    if (this.#reason !== undefined) this.#signal('SIGKILL');
    const byItself: ToolEnd = code === null ? { kind: 'signal', signal: signal ?? '' } : { kind: 'exit', code };
    const end = this.#reason ?? byItself;
    const child = this.#child;
    if (child === undefined) return;
    child.once('close', () => this.#settle(end));
    // One that nobody has begun to read does not close.
    if (child.stdout?.listenerCount('data') === 0) this.#settle(end);
    else this.#settleWhenQuiet(end);
  }

  /** Two quiet times in a row: after one alone the event loop may not have come to what is there to be read. */
  #settleWhenQuiet(end: ToolEnd, quietBefore = 0): void {
    const before = this.#readsSince;
    setTimeout(() => {
      if (this.#end !== undefined) return;
      const quiet = this.#readsSince === before ? quietBefore + 1 : 0;
      if (quiet === 2) this.#settle(end);
      else this.#settleWhenQuiet(end, quiet);
    }, quietMs);
  }

  #stop(reason: ToolEnd): void {
    if (this.#end !== undefined || this.#reason !== undefined) return;
    this.#reason = reason;
    this.#signal('SIGTERM');
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#signal('SIGKILL');
      this.#timer = setTimeout(() => this.#settle(reason), lastMs);
    }, graceMs);
  }

  /** To its whole group. */
  #signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    const { pid } = this.#child ?? {};
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // It has gone.
    }
  }

  #settle(end: ToolEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    clearTimeout(this.#timer);
    // Another process may hold the other ends, and one that hangs in the kernel must not keep this one from ending.
    for (const stream of streamsOf(this.#child)) stream?.destroy();
    this.#child?.unref();
    this.#resolve(end);
  }
}
