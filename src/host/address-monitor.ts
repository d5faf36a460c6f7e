/**
 * Says when addresses of this network namespace change, by the lines of a long-lived `ip -o monitor address`: the netlink addon
 * must not subscribe to multicast, since a burst of messages would end the process.
 */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { startTool, toolEnvironment } from './tool-process';

/** One that outlives this process, which was killed, ends by then. */
const lifeSeconds = 600;
const defaultCommand = ['timeout', `${lifeSeconds}`, 'ip', '-o', 'monitor', 'address'] as const;

export interface AddressMonitorOptions {
  /** Lines about this interface are passed over. */
  readonly except: string;
  /** Called for each line, and where lines may have been lost. */
  readonly onChange: () => void;
  /** Default: `ip -o monitor address`, for ten minutes. */
  readonly command?: readonly [string, ...string[]];
}

/** A child of its own process group, ended by close and with this process. */
export class AddressMonitor {
  private child: ChildProcess | undefined;
  private readonly endWithProcess = (): void => this.close();

  constructor(private readonly options: AddressMonitorOptions) {}

  /** The process runs: a change is heard. */
  get isWatching(): boolean {
    return this.child !== undefined;
  }

  /** Starts it where it does not run. Where it cannot be started, it has ended at once. */
  start(): void {
    if (this.child !== undefined) return;
    const { command = defaultCommand, onChange, except } = this.options;
    const child = startTool(command, false, toolEnvironment(), () => this.ended(child));
    this.child = child;
    process.once('exit', this.endWithProcess);
    child.once('error', () => this.ended(child));
    for (const stream of [child.stdout, child.stderr]) stream?.on('error', () => undefined);
    const isOther = new RegExp(`^(?:Deleted )?\\d+: (?!${except}(?:@|\\s|:))`);
    // No streams where no file was left for them.
    if (child.stdout != null) {
      const lines = createInterface({ input: child.stdout });
      lines.on('line', (line) => isOther.test(line) && onChange());
      lines.once('close', () => this.ended(child));
    }
    // `netlink receive error No buffer space available`: it goes on, and what it missed is not known.
    child.stderr?.on('data', onChange);
  }

  close(): void {
    const pid = this.child?.pid;
    this.child = undefined;
    process.off('exit', this.endWithProcess);
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGTERM');
    } catch {
      // It has ended.
    }
  }

  private ended(child: ChildProcess): void {
    if (this.child !== child) return;
    this.close();
    this.options.onChange();
  }
}
