import type { DestinationState, IpvsTimeouts } from './driver-messages';
import type { ServerOptions } from './server-options';
import type { ServerWrite } from './virtual-server';

/** The ways to the kernel. */
export interface ServerTransport {
  /** Whether `write` throws where the kernel refused something. */
  readonly tellsRefusals: boolean;
  write(writes: readonly ServerWrite[]): Promise<void>;
  /** Of every server, of both families. */
  readOptions(): Promise<ReadonlyMap<string, ServerOptions>>;
  /** None where there is no such server. */
  readDestinations(server: string): Promise<readonly DestinationState[]>;
  setTimeouts(timeouts: IpvsTimeouts): Promise<void>;
  /** Makes the server, looks whether it is there, deletes it. */
  canSchedule(server: string, scheduler: string): Promise<boolean>;
  close(): void;
}
