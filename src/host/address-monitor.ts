/**
 * Says when addresses of this network namespace change, by the lines of a long-lived `ip -o monitor address`: the netlink addon
 * must not subscribe to multicast, since a burst of messages would end the process.
 */
import { execa } from 'execa';

export interface AddressMonitorOptions {
  /** Lines about this interface are passed over. */
  readonly except: string;
  /** Called for each line, and where lines may have been lost. */
  readonly onChange: () => void;
  /** Default: `ip -o monitor address`. */
  readonly command?: readonly string[];
}

function startMonitor([file = '', ...args]: readonly string[]) {
  return execa(file, args, {
    env: { LC_ALL: 'C' },
    stdin: 'ignore',
    buffer: false,
    reject: false,
    detached: true,
  });
}

type Monitor = ReturnType<typeof startMonitor>;

/** A child of its own process group: it is ended by close, and by its next line where this process was killed. */
export class AddressMonitor {
  private child: Monitor | undefined;

  constructor(private readonly options: AddressMonitorOptions) {}

  /** The process runs: a change is heard. */
  get isWatching(): boolean {
    return this.child !== undefined;
  }

  /** Starts it where it does not run. */
  start(): void {
    if (this.child !== undefined) return;
    const { command = ['ip', '-o', 'monitor', 'address'], onChange, except } = this.options;
    const child = startMonitor(command);
    this.child = child;
    const isOther = new RegExp(`^(?:Deleted )?\\d+: (?!${except}(?:@|\\s|:))`);
    void this.follow(child, (line) => isOther.test(line) && onChange());
    // `netlink receive error No buffer space available`: it goes on, and what it missed is not known.
    child.stderr.on('data', onChange);
  }

  close(): void {
    const { child } = this;
    this.child = undefined;
    child?.kill('SIGTERM');
  }

  private async follow(child: Monitor, onLine: (line: string) => void): Promise<void> {
    try {
      for await (const line of child) onLine(line);
      await child;
    } catch {
      // Its end is all that counts.
    }
    if (this.child !== child) return;
    this.child = undefined;
    this.options.onChange();
  }
}
