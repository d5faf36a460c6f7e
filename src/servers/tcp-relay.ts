/** Relays TCP connections from clients on this node to endpoints, byte for byte. */
import { connect, type Socket, type TcpNetConnectOpts } from 'node:net';

export interface RelayTarget {
  readonly address: string;
  readonly port: number;
}

export interface RelayLimits {
  /** Limit of connections at one time. A further one is reset at once. */
  readonly connections: number;
  /** How long an endpoint may take to accept a connection. kube-proxy 1.37 waits as long. */
  readonly dialMs: number;
  /** How many endpoints are tried for one connection. */
  readonly tries: number;
  /** How long a connection may be idle. The default of the connection tracker for other connections to Services. */
  readonly idleMs: number;
  /** The same once one side has finished sending. */
  readonly halfClosedMs: number;
}

/** How a connection began: it got an endpoint, no endpoint accepted it, or there were too many connections already. */
export type RelayResult = 'relayed' | 'unanswered' | 'limited';

/** Options of every socket. A peer that vanished is noticed by probes, which Go's sockets send too. */
export const socketOptions = {
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: 15_000,
} as const satisfies Partial<TcpNetConnectOpts>;

const hour = 3_600_000;

/** Returns the limits for a process that may have so many files open. A connection takes two. */
export function relayLimitsFor(mostOpenFiles: number): RelayLimits {
  const connections = Math.max(8, Math.min(1024, Math.floor(mostOpenFiles / 16)));
  return { connections, dialMs: 5000, tries: 3, idleMs: 24 * hour, halfClosedMs: hour };
}

export class TcpRelay {
  readonly #limits: RelayLimits;
  /** Both sockets of each connection; the second one once there is one. */
  readonly #open = new Map<Socket, Socket | undefined>();

  constructor(limits: RelayLimits) {
    this.#limits = limits;
  }

  /** Number of connections, also those that have no endpoint yet. */
  get size(): number {
    return this.#open.size;
  }

  /**
   * Finds an endpoint for a client, and relays from then on. Never rejects.
   *
   * @param client paused, so that its bytes wait in the kernel.
   * @param next returns the endpoint to try, or undefined when none is left.
   */
  async serve<T extends RelayTarget>(
    client: Socket,
    next: (tried: ReadonlySet<T>) => T | undefined,
  ): Promise<{ readonly result: RelayResult; readonly endpoint?: T }> {
    client.on('error', () => undefined);
    if (this.#open.size >= this.#limits.connections) {
      client.resetAndDestroy();
      return { result: 'limited' };
    }
    this.#open.set(client, undefined);
    client.on('close', () => this.#open.delete(client));
    const tried = new Set<T>();
    while (tried.size < this.#limits.tries && !client.destroyed) {
      const endpoint = next(tried);
      if (endpoint === undefined) break;
      tried.add(endpoint);
      if (await this.#connect(client, endpoint)) return { result: 'relayed', endpoint };
    }
    client.resetAndDestroy();
    return { result: 'unanswered' };
  }

  /** Resets every connection. */
  stop(): void {
    for (const [client, server] of this.#open) {
      client.resetAndDestroy();
      server?.resetAndDestroy();
    }
  }

  async #connect(client: Socket, { address, port }: RelayTarget): Promise<boolean> {
    const server = connect({ host: address, port, timeout: this.#limits.dialMs, ...socketOptions });
    this.#open.set(client, server);
    const accepted = await new Promise<boolean>((resolve) => {
      server.once('connect', () => resolve(true));
      server.once('timeout', () => server.destroy());
      server.on('error', () => undefined);
      server.once('close', () => resolve(false));
    });
    if (accepted) this.#join(client, server);
    return accepted;
  }

  /** Each side may finish sending and still receive. A side that breaks off breaks off the other one. */
  #join(client: Socket, server: Socket): void {
    const reset = (): void => {
      client.resetAndDestroy();
      server.resetAndDestroy();
    };
    if (client.destroyed) {
      reset();
      return;
    }
    server.setTimeout(0);
    client.setTimeout(this.#limits.idleMs, reset);
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.on('error', reset);
      from.once('end', () => client.setTimeout(this.#limits.halfClosedMs));
      // It waits while `to` is full, and ends `to` where `from` ends.
      from.pipe(to);
    }
  }
}
