/**
 * Destinations that are no longer wanted and still have connections. Their weight is 0, so that no new connections come. They are deleted
 * when the last connection has ended, or after a limit. The kernel is the only record: a fresh process finds them by their weight.
 */
import type { DestinationConnections, ServerDestination, ServerWrite } from './virtual-server';

interface Draining extends ServerDestination {
  readonly sinceMs: number;
}

const keyOf = (server: string, destination: string): string => `${server} ${destination}`;

export class DrainingDestinations {
  readonly #byKey = new Map<string, Draining>();
  readonly #limitMs: number;
  readonly #now: () => number;

  /** @param limitMs Infinity: they stay as long as there are connections. */
  constructor(limitMs: number, now: () => number) {
    this.#limitMs = limitMs;
    this.#now = now;
  }

  get size(): number {
    return this.#byKey.size;
  }

  has(server: string, destination: string): boolean {
    return this.#byKey.has(keyOf(server, destination));
  }

  add(server: string, destination: string): void {
    const key = keyOf(server, destination);
    if (!this.#byKey.has(key)) this.#byKey.set(key, { server, destination, sinceMs: this.#now() });
  }

  delete(server: string, destination: string): void {
    this.#byKey.delete(keyOf(server, destination));
  }

  /** Forgets all destinations of a server that is gone. */
  deleteServer(server: string): void {
    for (const [key, draining] of this.#byKey) if (draining.server === server) this.#byKey.delete(key);
  }

  servers(): ReadonlySet<string> {
    return new Set([...this.#byKey.values()].map(({ server }) => server));
  }

  /** Returns the deletions that are due, given a server's present destinations. Forgets those that are already gone. */
  planDeletions(server: string, destinations: readonly DestinationConnections[]): ServerWrite[] {
    const connections = new Map(destinations.map((one) => [one.destination, one.connections]));
    const writes: ServerWrite[] = [];
    for (const draining of [...this.#byKey.values()]) {
      if (draining.server !== server) continue;
      const { destination, sinceMs } = draining;
      const left = connections.get(destination);
      if (left === undefined) this.delete(server, destination);
      else if (left === 0 || this.#now() - sinceMs >= this.#limitMs)
        writes.push({ op: 'delete-destination', server, destination });
    }
    return writes;
  }
}
