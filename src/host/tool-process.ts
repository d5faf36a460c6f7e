/**
 * Runs a tool of the host as a process. It always reports an end, even where the tool cannot be started, does not end by itself, or
 * leaves its output open in a child process.
 */
import type { ChildProcess } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { StringDecoder } from 'node:string_decoder';
import { execa } from 'execa';
import { errorCode, messageOf } from '../model/error-message';

/** How a tool ended. */
export type ToolEnd =
  | { readonly kind: 'exit'; readonly code: number }
  | { readonly kind: 'signal'; readonly signal: string }
  | { readonly kind: 'not found' }
  /** No process, file or memory was left for it. It may start at another time. */
  | { readonly kind: 'not started'; readonly reason: string }
  /** It was ended at its limit. It is not known what it had done by then. */
  | { readonly kind: 'too long'; readonly limitMs: number }
  | { readonly kind: 'too much output' };

/** From SIGTERM to SIGKILL. */
const graceMs = 2000;
/** After SIGKILL. A process that hangs in the kernel does not end even then, and is no longer waited for. */
const lastMs = 1000;
/** After the tool's end, since another process may hold its pipe: twice this time without output ends the reading. */
const quietMs = 250;
/** The most that is kept of stdout, in bytes. Only the beginning of stderr is kept, and the rest is dropped. */
const mostOutput = 256 << 20;
const mostStderr = 64 << 10;
const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The only environment that tools of the kernel get: variables such as XTABLES_LOCKFILE and XTABLES_LIBDIR change what they do. */
export function toolEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'] ?? defaultPath, LC_ALL: 'C' };
}

/**
 * Returns the process, which has an 'error' event where it cannot be started. Throws where not even the process object was made.
 * @param onFailed is called where there is no such event, because execa caught what spawn threw.
 */
export function startTool(
  [file, ...args]: readonly [string, ...string[]],
  takesInput: boolean,
  environment: NodeJS.ProcessEnv,
  onFailed: (error: unknown) => void,
): ChildProcess {
  let made: ChildProcess | undefined;
  const remember = (message: unknown): void => {
    // The message of Node's child_process channel.
    made = (message as { readonly process: ChildProcess }).process;
    made.on('error', () => undefined);
  };
  // Where no file is left for the pipes, execa throws, and nobody listens to the process that it made.
  subscribe('child_process', remember);
  try {
    const tool = execa(file, args, {
      env: environment,
      extendEnv: false,
      stdin: takesInput ? 'pipe' : 'ignore',
      // ToolProcess reads the output itself, line by line where that is asked for.
      buffer: false,
      reject: false,
      // Its own process group: it does not end at the terminal's Ctrl-C, and can be ended with all its children.
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

/** Against Node's types, there are no streams where no file was left for them. */
function streamsOf(
  child: Partial<Pick<ChildProcess, 'stdio'>> | undefined,
): readonly (ChildProcess['stdio'][number] | undefined)[] {
  return child?.stdio ?? [];
}

export class ToolProcess {
  /** Never rejects. */
  readonly ended: Promise<ToolEnd>;
  #end: ToolEnd | undefined;
  #resolve!: (end: ToolEnd) => void;
  #child: ChildProcess | undefined;
  /** Why it is being ended. */
  #reason: ToolEnd | undefined;
  #stdout = '';
  #stderr = '';
  #onLine: ((line: string) => void) | undefined;
  #lineFailure: { readonly error: unknown } | undefined;
  #readsSince = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param environment the whole environment of the tool. */
  constructor(file: string, args: readonly string[], takesInput: boolean, environment = toolEnvironment()) {
    this.ended = new Promise((resolve) => (this.#resolve = resolve));
    try {
      const child = startTool([file, ...args], takesInput, environment, (error) => this.#failed(error));
      this.#child = child;
      child.on('error', (error) => this.#failed(error));
      child.on('exit', (code, signal) => this.#exited(code, signal));
      // Errors of the streams are ignored: a tool that ends before it has read its input says why by its exit code.
      for (const stream of streamsOf(child)) stream?.on('error', () => undefined);
    } catch (error) {
      // ENOMEM is thrown; EAGAIN and EMFILE come by the event.
      this.#failed(error);
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

  /** Writes the input, and starts to read and to count the time. Resolves at the tool's end. Rejects with what onLine throws. */
  async finish(input: string, limitMs: number, onLine?: (line: string) => void): Promise<ToolEnd> {
    this.#onLine = onLine;
    if (this.#end === undefined) {
      this.#timer = setTimeout(() => this.#stop({ kind: 'too long', limitMs }), limitMs);
      this.#read();
      // There are no streams where no file was left for them.
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

  #failed(error: unknown): void {
    // After the start, an error only says that a signal could not be sent.
    if (this.#child?.pid !== undefined) return;
    this.#settle(
      errorCode(error) === 'ENOENT' ? { kind: 'not found' } : { kind: 'not started', reason: messageOf(error) },
    );
  }

  #exited(code: number | null, signal: string | null): void {
    // If it was ended, the rest of its process group is ended too.
    if (this.#reason !== undefined) this.#signal('SIGKILL');
    const byItself: ToolEnd = code === null ? { kind: 'signal', signal: signal ?? '' } : { kind: 'exit', code };
    const end = this.#reason ?? byItself;
    const child = this.#child;
    if (child === undefined) return;
    child.once('close', () => this.#settle(end));
    // A process whose output nobody reads has no 'close' event.
    if (child.stdout?.listenerCount('data') === 0) this.#settle(end);
    else this.#settleWhenQuiet(end);
  }

  /** Waits for two quiet periods in a row: after one, the event loop may not have read yet what is there. */
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

  /** Signals the whole process group. */
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
    // Another process may hold the pipes' other ends, and a tool that hangs in the kernel must not keep this process from ending.
    for (const stream of streamsOf(this.#child)) stream?.destroy();
    this.#child?.unref();
    this.#resolve(end);
  }
}
