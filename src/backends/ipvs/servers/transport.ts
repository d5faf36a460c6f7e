import type { DestinationState, IpvsTimeouts } from './driver-messages';
import type { ServerOptions } from './server-options';
import type { ServerWrite } from './virtual-server';

/** A way to the kernel. */
export interface ServerTransport {
  /** Whether `write` throws when the kernel refused something. */
  readonly tellsRefusals: boolean;
  write(writes: readonly ServerWrite[]): Promise<void>;
  /** The options of every server, of both families. */
  readOptions(): Promise<ReadonlyMap<string, ServerOptions>>;
  /** Returns none when there is no such server. */
  readDestinations(server: string): Promise<readonly DestinationState[]>;
  setTimeouts(timeouts: IpvsTimeouts): Promise<void>;
  /** Tries the scheduler with this server: creates it, checks that it is there, and deletes it. */
  canSchedule(server: string, scheduler: string): Promise<boolean>;
  close(): void;
}
