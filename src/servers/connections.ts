/**
 * Bounds on what clients of our servers may hold open. Files are the process's own, and the rules are written through them: so
 * that no number of clients keeps a tool from starting, all servers together have one bound.
 */
import type { RequestListener, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

export interface ConnectionBounds {
  /** Connections to one server: of more, the one that has been idle longest is closed. */
  readonly perServer: number;
  /** Before it may be closed for that: who connects may ask. */
  readonly graceMs: number;
  /** Connections to all servers: of more, the one that has been idle longest is closed at once. */
  readonly inAll: number;
}

/** Answers that wait on one connection: a client may send its questions without waiting for answers. */
const mostUnanswered = 8;
/** For a client to take an answer that is complete. */
const answerMs = 30_000;
/** For a client to take the answer, while it still sends what nobody reads. */
const lingerMs = 1000;
/** Of a request. */
export const mostBodyBytes = 64 << 10;

interface Served {
  /** By how long they have been idle, the longest first. */
  readonly connections: Map<Socket, Connection>;
  timer?: NodeJS.Timeout;
}

interface Connection {
  readonly served: Served;
  /** performance.now(), when it was opened, had last asked, or had last been answered. */
  idleSinceMs: number;
  /** Not yet complete. */
  readonly answers: Set<ServerResponse>;
}

export class Connections {
  /** By how long they have been idle, the longest first. */
  private readonly all = new Map<Socket, Connection>();

  constructor(private readonly bounds: ConnectionBounds) {}

  /** Keeps the server to its bounds. Its requests are answered by `answer`; what that throws is a 500. */
  serve(server: Server, answer: RequestListener): void {
    const served: Served = { connections: new Map() };
    server.on('connection', (socket) => {
      this.touch(socket, { served, idleSinceMs: 0, answers: new Set() });
      socket.on('close', () => this.forget(socket, served));
      this.closeIdle(served);
    });
    server.on('close', () => clearTimeout(served.timer));
    server.on('request', (request, response) => {
      const connection = this.all.get(request.socket);
      if (connection !== undefined) this.follow(connection, response);
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

  private follow(connection: Connection, response: ServerResponse): void {
    const { req: request } = response;
    const { socket } = request;
    this.touch(socket, connection);
    connection.answers.add(response);
    let timer: NodeJS.Timeout | undefined;
    response.on('prefinish', () => {
      timer = setTimeout(() => socket.destroy(), answerMs).unref();
    });
    response.on('finish', () => {
      // Node goes on reading, to no end, what was sent with a question that is answered.
      if (!request.complete) setTimeout(() => request.complete || socket.destroy(), lingerMs).unref();
    });
    response.on('close', () => {
      clearTimeout(timer);
      connection.answers.delete(response);
      if (this.all.has(socket)) this.touch(socket, connection);
    });
  }

  private touch(socket: Socket, connection: Connection): void {
    connection.idleSinceMs = performance.now();
    for (const order of [this.all, connection.served.connections]) {
      order.delete(socket);
      order.set(socket, connection);
    }
  }

  private closeIdle(served: Served): void {
    const { inAll, perServer, graceMs } = this.bounds;
    const { connections } = served;
    while (this.all.size > inAll) this.close(longestIdle(this.all));
    while (connections.size > perServer) {
      const socket = longestIdle(connections);
      const idleMs = performance.now() - (connections.get(socket)?.idleSinceMs ?? 0);
      if (idleMs < graceMs) {
        clearTimeout(served.timer);
        served.timer = setTimeout(() => this.closeIdle(served), graceMs - idleMs).unref();
        return;
      }
      this.close(socket);
    }
  }

  private close(socket: Socket): void {
    const served = this.all.get(socket)?.served;
    if (served !== undefined) this.forget(socket, served);
    socket.destroy();
  }

  private forget(socket: Socket, { connections }: Served): void {
    this.all.delete(socket);
    connections.delete(socket);
  }
}

/** One that waits for its answer only where all but the newest do. */
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
  response.end(`at most ${mostBodyBytes} bytes\n`);
}

/** Those of all servers of this process, at a limit of open files. */
export function boundsFor(mostOpenFiles: number): ConnectionBounds {
  const inAll = Math.max(16, Math.min(512, Math.floor(mostOpenFiles / 2)));
  return { perServer: Math.min(64, Math.floor(inAll / 2)), graceMs: 250, inAll };
}
