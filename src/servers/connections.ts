/**
 * Bounds on the connections that clients may keep open. Every connection takes one of the process's file descriptors, and writing the
 * rules needs descriptors too. All servers together therefore have one bound, so that no number of clients can keep a tool from
 * starting.
 */
import type { RequestListener, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

export interface ConnectionBounds {
  /** Limit of connections to one server. Beyond it the connection that has been idle longest is closed. */
  readonly perServer: number;
  /** How long a connection must have been idle before `perServer` closes it, so that a new client can send its request. */
  readonly graceMs: number;
  /** Limit of connections to all servers. Beyond it the connection that has been idle longest is closed at once. */
  readonly inAll: number;
}

/** Limit of pipelined requests: a client may send further requests on a connection before it has the answers. */
const mostUnanswered = 8;
/** How long a client may take to receive a complete answer. */
const answerMs = 30_000;
/** How long a client may take to receive the answer while it still sends a body that nobody reads. */
const lingerMs = 1000;
/** Limit of a request's body. */
export const mostBodyBytes = 64 << 10;

interface Served {
  /** The connection that has been idle longest comes first. */
  readonly connections: Map<Socket, Connection>;
  timer?: NodeJS.Timeout;
}

interface Connection {
  readonly served: Served;
  /** The performance.now() of its opening, its last request or its last answer. */
  idleSinceMs: number;
  /** The answers that are not complete yet. */
  readonly answers: Set<ServerResponse>;
}

export class Connections {
  /** The connection that has been idle longest comes first. */
  readonly #all = new Map<Socket, Connection>();
  readonly #bounds: ConnectionBounds;

  constructor(bounds: ConnectionBounds) {
    this.#bounds = bounds;
  }

  /** Enforces the bounds on the server. `answer` answers its requests; an exception of `answer` becomes status 500. */
  serve(server: Server, answer: RequestListener): void {
    const served: Served = { connections: new Map() };
    server.on('connection', (socket) => {
      this.#touch(socket, { served, idleSinceMs: 0, answers: new Set() });
      socket.on('close', () => this.#forget(socket, served));
      this.#closeIdle(served);
    });
    server.on('close', () => clearTimeout(served.timer));
    server.on('request', (request, response) => {
      const connection = this.#all.get(request.socket);
      if (connection !== undefined) this.#follow(connection, response);
      if (connection !== undefined && connection.answers.size > mostUnanswered) {
        request.socket.destroy();
        return;
      }
      try {
        if (Number(request.headers['content-length'] ?? 0) > mostBodyBytes) refuseBody(response);
        else answer(request, response);
      } catch (error) {
        if (!response.headersSent) response.writeHead(500, { 'Content-Type': 'text/plain; charset=utf-8' });
        response.end(`${String(error)}\n`);
      }
    });
  }

  #follow(connection: Connection, response: ServerResponse): void {
    const { req: request } = response;
    const { socket } = request;
    this.#touch(socket, connection);
    connection.answers.add(response);
    let timer: NodeJS.Timeout | undefined;
    response.on('prefinish', () => {
      timer = setTimeout(() => socket.destroy(), answerMs).unref();
    });
    response.on('finish', () => {
      // Without this, Node.js would keep reading the body of an answered request for ever.
      if (!request.complete) setTimeout(() => request.complete || socket.destroy(), lingerMs).unref();
    });
    response.on('close', () => {
      clearTimeout(timer);
      connection.answers.delete(response);
      if (this.#all.has(socket)) this.#touch(socket, connection);
    });
  }

  #touch(socket: Socket, connection: Connection): void {
    connection.idleSinceMs = performance.now();
    for (const order of [this.#all, connection.served.connections]) {
      order.delete(socket);
      order.set(socket, connection);
    }
  }

  #closeIdle(served: Served): void {
    const { inAll, perServer, graceMs } = this.#bounds;
    const { connections } = served;
    while (this.#all.size > inAll) this.#close(longestIdle(this.#all));
    while (connections.size > perServer) {
      const socket = longestIdle(connections);
      const idleMs = performance.now() - (connections.get(socket)?.idleSinceMs ?? 0);
      if (idleMs < graceMs) {
        clearTimeout(served.timer);
        served.timer = setTimeout(() => this.#closeIdle(served), graceMs - idleMs).unref();
        return;
      }
      this.#close(socket);
    }
  }

  #close(socket: Socket): void {
    const served = this.#all.get(socket)?.served;
    if (served !== undefined) this.#forget(socket, served);
    socket.destroy();
  }

  #forget(socket: Socket, { connections }: Served): void {
    this.#all.delete(socket);
    connections.delete(socket);
  }
}

/** Returns a connection that waits for an answer only if all connections but the newest do. */
function longestIdle(connections: ReadonlyMap<Socket, Connection>): Socket {
  let first: Socket | undefined;
  let left = connections.size;
  for (const [socket, { answers }] of connections) {
    first ??= socket;
    if (left-- > 1 && [...answers].every(({ writableEnded }) => writableEnded)) return socket;
  }
  if (first === undefined) throw new RangeError('there is no connection');
  return first;
}

export function refuseBody(response: ServerResponse): void {
  response.writeHead(413, { 'Content-Type': 'text/plain; charset=utf-8', 'X-Content-Type-Options': 'nosniff' });
  response.end(`the body may have at most ${mostBodyBytes} bytes\n`);
}

/** Returns the bounds for a process with this limit of open files. */
export function boundsFor(mostOpenFiles: number): ConnectionBounds {
  const inAll = Math.max(16, Math.min(512, Math.floor(mostOpenFiles / 2)));
  return { perServer: Math.min(64, Math.floor(inAll / 2)), graceMs: 250, inAll };
}
