/** Listening, closing, and trying again: what every server here does alike. */
import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../host/clock';
import { readProcessUsage } from '../host/process-usage';
import { joinHostPort } from '../model/address';
import { UserError } from '../model/user-error';
import type { Logger } from '../telemetry/log';
import { boundsFor, Connections } from './connections';

export interface ListenAddress {
  /** Canonical. */
  readonly address: string;
  readonly port: number;
}

/**
 * Listens, or rejects with the system's error. Go takes a listen on a wildcard of either family as one on both, by an
 * IPv6 socket that is not IPv6 alone; so does Node where no host is named, and it falls back where there is no IPv6.
 */
function listen(answer: RequestListener, { address, port }: ListenAddress): Promise<Server> {
  const isWildcard = address === '0.0.0.0' || address === '::';
  return bind(answer, isWildcard ? { port } : { host: address, port });
}

/** As listen, on the addresses of one family alone. */
export function listenOneFamily(answer: RequestListener, { address, port }: ListenAddress): Promise<Server> {
  if (listening >= mostListening)
    return Promise.reject(
      new Error(`${listening} ports are open already: of ${mostOpenFiles} files the others are for tools and clients`),
    );
  return bind(answer, { host: address, port, ipv6Only: true });
}

/** Node.js has raised it to the hard limit. Where /proc does not tell it is the least that is usual. */
const mostOpenFiles = readProcessUsage()?.mostOpenFiles ?? 1024;
const connections = new Connections(boundsFor(mostOpenFiles));
/** Ports take files too, and there may be any number of Services that want one. */
const mostListening = mostOpenFiles / 4;
let listening = 0;

/** Clients that wait to be taken: of more, the kernel takes no notice, and they try again after a second. It has its own limit, somaxconn. */
const backlog = 4096;
/** For a request: its headers, and all of it. How often Node.js looks for those that take longer. */
const timing = { headersTimeout: 10_000, requestTimeout: 15_000, connectionsCheckingInterval: 2000 } as const;

function bind(
  answer: RequestListener,
  options: { readonly host?: string; readonly port: number; readonly ipv6Only?: boolean },
): Promise<Server> {
  const server = createServer(timing);
  connections.serve(server, answer);
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ ...options, backlog }, () => {
      listening++;
      server.once('close', () => listening--);
      server.off('error', reject);
      // A client that could not be taken (EMFILE, ENFILE, ENOMEM) tries again by itself.
      server.on('error', () => undefined);
      resolve(server);
    });
  });
}

/** Ends connections too: a client that keeps its own alive holds nobody up. */
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

/** By path; a query does not count. */
export function route(answers: Readonly<Record<string, RequestListener>>): RequestListener {
  return (request, response) => {
    const [path = ''] = (request.url ?? '').split('?', 1);
    const answer = Object.hasOwn(answers, path) ? answers[path] : undefined;
    (answer ?? notFound)(request, response);
  };
}

/** A port that somebody else has is tried again so often. */
export const retryAfterMs = 5000;

export interface PersistentServerOptions {
  /** For the log: `healthz`. */
  readonly name: string;
  readonly address: ListenAddress;
  readonly answer: RequestListener;
  /** Give up at the first failure to listen. */
  readonly hardFail: boolean;
  /** Told of the first failure to listen. */
  readonly onFailure?: (message: string) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A server that tries to listen every 5 s until it does. */
export class PersistentServer {
  private server: Server | undefined;
  private readonly stopped = new AbortController();
  private retries: Promise<void> = Promise.resolve();

  constructor(private readonly options: PersistentServerOptions) {}

  /** Resolves after the first try, listening or not. With hardFail it rejects with a UserError where that failed. */
  async start(): Promise<void> {
    const error = await this.tryToListen();
    if (error === undefined) return;
    const { name, address, hardFail, onFailure, log } = this.options;
    const what = `the ${name} server cannot listen on ${joinHostPort(address.address, address.port)}: ${error.message}`;
    onFailure?.(what);
    if (hardFail) throw new UserError(what);
    log.error({ retryMs: retryAfterMs }, what);
    this.retries = this.retry();
  }

  /** Where it listens, the port chosen by the kernel where 0 was asked for; undefined while it does not. */
  address(): AddressInfo | undefined {
    return (this.server?.address() ?? undefined) as AddressInfo | undefined;
  }

  async stop(): Promise<void> {
    this.stopped.abort();
    await this.retries;
    if (this.server !== undefined) await close(this.server);
    this.server = undefined;
  }

  private async retry(): Promise<void> {
    const { name, clock, log } = this.options;
    for (;;) {
      await clock.sleep(retryAfterMs, this.stopped.signal);
      if (this.stopped.signal.aborted) return;
      if ((await this.tryToListen()) !== undefined) continue;
      log.info(`the ${name} server listens now`);
      return;
    }
  }

  private async tryToListen(): Promise<Error | undefined> {
    const { name, address, answer, log } = this.options;
    try {
      const server = await listen(answer, address);
      if (this.stopped.signal.aborted) await close(server);
      else this.server = server;
      server.on('error', (error) => log.debug({ err: error }, `the ${name} server`));
      return undefined;
    } catch (error) {
      return error as Error;
    }
  }
}
