/**
 * Reports when addresses of this network namespace change, by the lines of a long-lived `ip -o monitor address`. The netlink addon
 * must not subscribe to multicast itself, since a burst of messages would end the process.
 */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { startTool, toolEnvironment } from './tool-process';

/** A monitor that outlives this process, because this process was killed, ends after this time. */
const lifeSeconds = 600;
const defaultCommand = ['timeout', `${lifeSeconds}`, 'ip', '-o', 'monitor', 'address'] as const;

export interface AddressMonitorOptions {
  /** Lines about this interface are ignored. */
  readonly except: string;
  /** Called for each line, and when lines may have been lost. */
  readonly onChange: () => void;
  /** Default: `ip -o monitor address`, for ten minutes. */
  readonly command?: readonly [string, ...string[]];
}

/** A child process in its own process group. It is ended by close and with this process. */
export class AddressMonitor {
  readonly #options: AddressMonitorOptions;
  #child: ChildProcess | undefined;
  readonly #endWithProcess = (): void => this.close();

  constructor(options: AddressMonitorOptions) {
    this.#options = options;
  }

  /** The process runs, so that changes are noticed. */
  get isWatching(): boolean {
    return this.#child !== undefined;
  }

  /** Starts the process if it does not run. Where it cannot be started, it counts as ended at once. */
  start(): void {
    if (this.#child !== undefined) return;
    const { command = defaultCommand, onChange, except } = this.#options;
    const child = startTool(command, false, toolEnvironment(), () => this.#ended(child));
    this.#child = child;
    process.once('exit', this.#endWithProcess);
    child.once('error', () => this.#ended(child));
    for (const stream of [child.stdout, child.stderr]) stream?.on('error', () => undefined);
    const isOther = new RegExp(`^(?:Deleted )?\\d+: (?!${except}(?:@|\\s|:))`);
    // There are no streams where no file was left for them.
    if (child.stdout != null) {
      const lines = createInterface({ input: child.stdout });
      lines.on('line', (line) => isOther.test(line) && onChange());
      lines.once('close', () => this.#ended(child));
    }
    // After `netlink receive error No buffer space available` it goes on, and it is not known what it missed.
    child.stderr?.on('data', onChange);
  }

  close(): void {
    const pid = this.#child?.pid;
    this.#child = undefined;
    process.off('exit', this.#endWithProcess);
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGTERM');
    } catch {
      // It has ended.
    }
  }

  #ended(child: ChildProcess): void {
    if (this.#child !== child) return;
    this.close();
    this.#options.onChange();
  }
}
