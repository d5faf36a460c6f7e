/**
 * Destinations that are wanted no more and still have connections: their weight is 0, so that no new ones come, and they go when the
 * last one has ended, or after a limit. What the kernel holds is the record: a fresh process finds them by their weight.
 */
import type { ServerWrite } from './virtual-server';

export interface Draining {
  readonly server: string;
  readonly destination: string;
  readonly sinceMs: number;
}

export interface DestinationConnections {
  readonly destination: string;
  readonly connections: number;
}

const keyOf = (server: string, destination: string): string => `${server} ${destination}`;

export class DrainingDestinations {
  private readonly byKey = new Map<string, Draining>();

  constructor(
    /** Milliseconds; Infinity: as long as there are connections. */
    private readonly limitMs: number,
    private readonly now: () => number,
  ) {}

  get size(): number {
    return this.byKey.size;
  }

  has(server: string, destination: string): boolean {
    return this.byKey.has(keyOf(server, destination));
  }

  add(server: string, destination: string): void {
    const key = keyOf(server, destination);
    if (!this.byKey.has(key)) this.byKey.set(key, { server, destination, sinceMs: this.now() });
  }

  delete(server: string, destination: string): void {
    this.byKey.delete(keyOf(server, destination));
  }

  /** All of a server that is gone. */
  deleteServer(server: string): void {
    for (const [key, draining] of this.byKey) if (draining.server === server) this.byKey.delete(key);
  }

  servers(): ReadonlySet<string> {
    return new Set([...this.byKey.values()].map(({ server }) => server));
  }

  /** Given a server's destinations, those whose time has come; those that are gone by themselves are forgotten. */
  planDeletions(server: string, destinations: readonly DestinationConnections[]): ServerWrite[] {
    const connections = new Map(destinations.map((one) => [one.destination, one.connections]));
    const writes: ServerWrite[] = [];
    for (const draining of [...this.byKey.values()]) {
      if (draining.server !== server) continue;
      const { destination, sinceMs } = draining;
      const left = connections.get(destination);
      if (left === undefined) this.delete(server, destination);
      else if (left === 0 || this.now() - sinceMs >= this.limitMs)
        writes.push({ op: 'delete-destination', server, destination });
    }
    return writes;
  }
}
