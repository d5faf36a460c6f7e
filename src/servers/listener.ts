/** Listens, closes, and tries again: what all servers have in common. */
import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer, type Socket } from 'node:net';
import type { Clock } from '../host/clock';
import { readProcessUsage } from '../host/process-usage';
import { joinHostPort } from '../model/address';
import { messageOf } from '../model/error-message';
import { UserError } from '../model/user-error';
import type { Logger } from '../telemetry/log';
import { boundsFor, Connections } from './connections';
import { socketOptions } from './tcp-relay';

export interface ListenAddress {
  /** Canonical. */
  readonly address: string;
  readonly port: number;
}

/**
 * Listens, or rejects with the system's error. In Go, listening on the wildcard address of either family means both families, through
 * an IPv6 socket that also accepts IPv4. Node.js does the same when no host is given, and falls back to IPv4 when there is no IPv6.
 */
function listen(answer: RequestListener, { address, port }: ListenAddress): Promise<Server> {
  const isWildcard = address === '0.0.0.0' || address === '::';
  return bind(answer, isWildcard ? { port } : { host: address, port });
}

/** Like listen, but for the addresses of one family only. */
export async function listenOneFamily(answer: RequestListener, { address, port }: ListenAddress): Promise<Server> {
  checkListening();
  return bind(answer, { host: address, port, ipv6Only: true });
}

/** Listens for connections that are not HTTP, or rejects with the system's error. Clients come paused. */
export async function listenTcp(
  onClient: (client: Socket) => void,
  { address, port }: ListenAddress,
): Promise<TcpServer> {
  checkListening();
  const server = createTcpServer({ ...socketOptions, pauseOnConnect: true }, onClient);
  return open(server, { host: address, port, ipv6Only: true });
}

function checkListening(): void {
  if (listening >= mostListening)
    throw new Error(
      `${listening} ports are open already; the rest of the ${mostOpenFiles} open files is for tools and clients`,
    );
}

/** Node.js has raised this limit to the hard limit. When /proc cannot be read, the smallest usual limit is assumed. */
export const mostOpenFiles = readProcessUsage()?.mostOpenFiles ?? 1024;
const connections = new Connections(boundsFor(mostOpenFiles));
/** Listening ports take files too, and any number of Services may ask for one. */
const mostListening = mostOpenFiles / 4;
let listening = 0;

/** Limit of clients that wait to be accepted. The kernel ignores further ones, and they try again after a second. Its somaxconn limits it too. */
const backlog = 4096;
/** Limits for receiving a request's headers and the whole request, and how often Node.js looks for requests that exceed them. */
const timing = { headersTimeout: 10_000, requestTimeout: 15_000, connectionsCheckingInterval: 2000 } as const;

interface BindOptions {
  readonly host?: string;
  readonly port: number;
  readonly ipv6Only?: boolean;
}

function bind(answer: RequestListener, options: BindOptions): Promise<Server> {
  const server = createServer(timing);
  connections.serve(server, answer);
  return open(server, options);
}

function open<T extends TcpServer>(server: T, options: BindOptions): Promise<T> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ ...options, backlog }, () => {
      listening++;
      server.once('close', () => listening--);
      server.off('error', reject);
      // A client that could not be accepted (EMFILE, ENFILE, ENOMEM) tries again by itself.
      server.on('error', () => undefined);
      resolve(server);
    });
  });
}

/** Closes the connections too, so that a client with keep-alive cannot delay the end. */
export function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** Go's answer for a path that nobody serves. */
const notFound: RequestListener = (_, response) => {
  response.writeHead(404, { 'Content-Type': 'text/plain; charset=utf-8', 'X-Content-Type-Options': 'nosniff' });
  response.end('404 page not found\n');
};

/** Chooses the answer by the path, without the query. */
export function route(answers: Readonly<Record<string, RequestListener>>): RequestListener {
  return (request, response) => {
    const [path = ''] = (request.url ?? '').split('?', 1);
    const answer = Object.hasOwn(answers, path) ? answers[path] : undefined;
    (answer ?? notFound)(request, response);
  };
}

/** Time until a port that could not be opened is tried again. */
export const retryAfterMs = 5000;

export interface PersistentServerOptions {
  /** Name for the log, such as `healthz`. */
  readonly name: string;
  readonly address: ListenAddress;
  readonly answer: RequestListener;
  /** Give up at the first failure to listen. */
  readonly hardFail: boolean;
  /** Called at the first failure to listen. */
  readonly onFailure?: (message: string) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A server that tries to listen every 5 s until it does. */
export class PersistentServer {
  #server: Server | undefined;
  readonly #stopped = new AbortController();
  #retries: Promise<void> = Promise.resolve();

  readonly #options: PersistentServerOptions;

  constructor(options: PersistentServerOptions) {
    this.#options = options;
  }

  /** Resolves after the first attempt, whether it listens or not. With hardFail, rejects with UserError when that attempt failed. */
  async start(): Promise<void> {
    const reason = await this.#tryToListen();
    if (reason === undefined) return;
    const { name, address, hardFail, onFailure, log } = this.#options;
    const what = `the ${name} server cannot listen on ${joinHostPort(address.address, address.port)}: ${reason}`;
    onFailure?.(what);
    if (hardFail) throw new UserError(what);
    log.error({ retryMs: retryAfterMs }, what);
    this.#retries = this.#retry();
  }

  /** Returns where it listens, or undefined while it does not. For port 0 the kernel has chosen a port. */
  address(): AddressInfo | undefined {
    const address = this.#server?.address();
    // A text is the path of a Unix socket, which this server never listens on.
    return typeof address === 'string' ? undefined : (address ?? undefined);
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#retries;
    if (this.#server !== undefined) await close(this.#server);
    this.#server = undefined;
  }

  async #retry(): Promise<void> {
    const { name, clock, log } = this.#options;
    for (;;) {
      await clock.sleep(retryAfterMs, this.#stopped.signal);
      if (this.#stopped.signal.aborted) return;
      if ((await this.#tryToListen()) !== undefined) continue;
      log.info(`the ${name} server is listening now`);
      return;
    }
  }

  /** Returns why it cannot listen, or undefined when it listens. */
  async #tryToListen(): Promise<string | undefined> {
    const { name, address, answer, log } = this.#options;
    try {
      const server = await listen(answer, address);
      if (this.#stopped.signal.aborted) await close(server);
      else this.#server = server;
      server.on('error', (error) => log.debug({ err: error }, `the ${name} server`));
      return undefined;
    } catch (error) {
      return messageOf(error);
    }
  }
}
