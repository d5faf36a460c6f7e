/**
 * An API server in memory, over real HTTP or HTTPS: list with pages and selectors, watch, WatchList, bookmarks, and the
 * faults that a client must live with. Objects are kept as the text that is sent, so that tens of thousands are served as
 * fast as sockets take them. PUT and DELETE of single objects work over HTTP too, for writers in another process.
 */
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import {
  answerExpired,
  answerFailure,
  answerGroups,
  answerList,
  answerReview,
  bookmarkLine,
  kubeconfigText,
  parseRequest,
  reviewPath,
} from './fake-api-answers';
import { FakeBody, refuse, statusText, writeJoined } from './fake-api-body';
import {
  type FailureMatch,
  type FakeFailure,
  type FakeFaults,
  type FakeRequest,
  type PlannedFailure,
  switchedFailure,
  takeFailure,
} from './fake-api-faults';
import {
  eventLine,
  FakeApiStore,
  type FakeObject,
  type FakeResource,
  kindOf,
  parseSelectors,
  type Selects,
  type StoredEvent,
} from './fake-api-store';
import type { TestCertificates } from './test-certificates';

export interface FakeApiServerOptions {
  readonly certificates?: TestCertificates;
  /** Also asks clients for a certificate and refuses those without (401). */
  readonly clientCertificates?: boolean;
  /** Default 60,000. */
  readonly bookmarkMs?: number;
  /** Default: any free one. */
  readonly port?: number;
}

interface Watch {
  readonly resource: FakeResource;
  readonly selects: Selects;
  readonly bookmarks: boolean;
  readonly body: FakeBody;
}

export class FakeApiServer {
  readonly store = new FakeApiStore();
  readonly faults: FakeFaults = {};
  /** Every request, in order of arrival. */
  readonly requests: FakeRequest[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #watches = new Set<Watch>();
  readonly #failures: PlannedFailure[] = [];
  #port = 0;
  readonly #bookmarks: NodeJS.Timeout;

  private constructor(private readonly options: FakeApiServerOptions) {
    const serve: RequestListener = (request, response) => {
      this.#serve(request, response).catch((error: unknown) => response.destroy(error as Error));
    };
    const { certificates, clientCertificates = false } = options;
    this.#server =
      certificates === undefined
        ? createServer(serve)
        : createTlsServer(
            { ...certificates.server, ca: certificates.ca, requestCert: clientCertificates, rejectUnauthorized: false },
            serve,
          );
    this.#server.keepAliveTimeout = 60_000;
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    this.#bookmarks = setInterval(() => this.bookmark(), options.bookmarkMs ?? 60_000).unref();
  }

  static async start(options: FakeApiServerOptions = {}): Promise<FakeApiServer> {
    const server = new FakeApiServer(options);
    await server.#listen(options.port ?? 0);
    return server;
  }

  get url(): string {
    return `${this.options.certificates === undefined ? 'http' : 'https'}://127.0.0.1:${this.#port}`;
  }

  /** Text of a kubeconfig for this server; `user` goes in as it is (`{ token: 'x' }`, `{ exec: ... }`). */
  kubeconfig(user: Readonly<Record<string, unknown>> = {}): string {
    return kubeconfigText(this.url, this.options.certificates?.ca, user);
  }

  put(...objects: readonly FakeObject[]): void {
    for (const object of objects) {
      const { resource, event } = this.store.put(object);
      this.#tell(resource, event);
    }
  }

  /** key: `namespace/name`, or the name of a Node or ServiceCIDR. */
  delete(resource: FakeResource, key: string): void {
    const event = this.store.delete(resource, key);
    if (event !== undefined) this.#tell(resource, event);
  }

  /** The next requests that match fail so. */
  failNext(match: FailureMatch, failure: FakeFailure): void {
    this.#failures.push({ match, failure, times: match.times ?? 1 });
  }

  /** Failures that were planned and have not come are taken back. */
  failNoMore(): void {
    this.#failures.length = 0;
  }

  /** Watches that are open now. */
  watches(resource?: FakeResource): number {
    return this.#open(resource).length;
  }

  bookmark(resource?: FakeResource): void {
    for (const watch of this.#open(resource))
      if (watch.bookmarks) watch.body.write(bookmarkLine(watch.resource, this.store.version, false));
  }

  /** Sends this text into open watches, as it is. */
  sendRaw(resource: FakeResource, text: string): void {
    for (const { body } of this.#open(resource)) body.write(text);
  }

  /** Sends an ERROR event into open watches and ends them. */
  sendError(status: number, reason: string, resource?: FakeResource): void {
    for (const { body } of this.#forget(resource)) {
      body.write(`{"type":"ERROR","object":${statusText(status, reason, reason)}}\n`);
      body.end();
    }
  }

  /** Bookmarks tell this version, as where etcd came from a backup. */
  sendBookmark(resource: FakeResource, version: number): void {
    const object = { kind: kindOf[resource], metadata: { resourceVersion: String(version) } };
    this.sendRaw(resource, `${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
  }

  /** Ends open watches in good order. */
  endWatches(resource?: FakeResource): void {
    for (const { body } of this.#forget(resource)) body.end();
  }

  /** Destroys open watches' connections. */
  cutWatches(resource?: FakeResource): void {
    for (const { body } of this.#forget(resource)) body.response.socket?.destroy();
  }

  /** Open watches stay open and say nothing any more: half-open, as far as a client can tell. */
  freezeWatches(resource?: FakeResource): void {
    for (const { body } of this.#open(resource)) body.frozen = true;
  }

  /** Closes the port and all connections; objects stay. */
  async goAway(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** Listens again, on the same port. */
  async comeBack(): Promise<void> {
    await this.#listen(this.#port);
  }

  async stop(): Promise<void> {
    clearInterval(this.#bookmarks);
    await this.goAway();
  }

  async #listen(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', resolve);
    });
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  #open(resource: FakeResource | undefined): Watch[] {
    return [...this.#watches].filter((watch) => resource === undefined || watch.resource === resource);
  }

  /** Those that are about to end hear nothing more, from now on. */
  #forget(resource: FakeResource | undefined): Watch[] {
    const forgotten = this.#open(resource);
    for (const watch of forgotten) this.#watches.delete(watch);
    return forgotten;
  }

  #tell(resource: FakeResource, event: StoredEvent): void {
    for (const watch of this.#watches) {
      if (watch.resource !== resource) continue;
      const line = eventLine(event, watch.selects);
      if (line !== undefined) watch.body.write(line);
    }
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? '/', this.url);
    const { request, key } = parseRequest(incoming, url);
    const { resource, query, verb } = request;
    this.requests.push(request);
    const failure =
      takeFailure(this.#failures, request) ??
      switchedFailure(this.faults, this.options.clientCertificates === true, request);
    if (failure !== undefined && answerFailure(failure, response)) return;
    if (url.pathname === '/apis' && failure === undefined) {
      answerGroups(this.faults, response);
      return;
    }
    if (url.pathname === reviewPath && failure === undefined) return answerReview(this.faults, incoming, response);
    if (resource === undefined || failure?.kind === 'status') {
      refuse(response, failure?.kind === 'status' ? failure : { status: 404, message: 'page not found' });
      return;
    }
    response.setHeader('content-type', 'application/json');
    const body = new FakeBody(response, this.faults.slow, failure?.kind === 'cut' ? failure.afterBytes : undefined);
    if (failure?.kind === 'silent-body') {
      response.flushHeaders();
      body.frozen = true;
    }
    if (key !== undefined) return this.#serveObject(request, resource, key, incoming, response);
    const selects = parseSelectors(query['labelSelector'] ?? '', query['fieldSelector'] ?? '');
    if (verb === 'watch') this.#serveWatch(request, resource, selects, body);
    else {
      const { store, faults } = this;
      const how = { version: store.version, isUnlimited: faults.ignoreLimit === true };
      answerList(how, query, store.list(resource, selects), resource, body);
    }
  }

  #serveWatch(request: FakeRequest, resource: FakeResource, selects: Selects, body: FakeBody): void {
    const { query } = request;
    const from = query['resourceVersion'] ?? '';
    const watchList = query['sendInitialEvents'] === 'true' && this.faults.ignoreWatchList !== true;
    const expired = from !== '' && !watchList && Number(from) < this.store.compacted;
    if (expired) {
      answerExpired(body, this.faults.goneAsStatus === true);
      return;
    }
    const { response } = body;
    response.flushHeaders();
    const watch: Watch = { resource, selects, body, bookmarks: query['allowWatchBookmarks'] === 'true' };
    this.#watches.add(watch);
    const timer = setTimeout(() => body.end(), Number(query['timeoutSeconds'] ?? 3600) * 1000).unref();
    response.on('close', () => {
      clearTimeout(timer);
      this.#watches.delete(watch);
    });
    const lines =
      watchList || from === ''
        ? this.store.list(resource, selects).map(({ json }) => `{"type":"ADDED","object":${json}}\n`)
        : this.store.eventsAfter(resource, Number(from)).flatMap((event) => eventLine(event, selects) ?? []);
    writeJoined(body, lines);
    if (watchList) body.write(bookmarkLine(resource, this.store.version, true));
  }

  async #serveObject(
    request: FakeRequest,
    resource: FakeResource,
    key: string,
    incoming: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (request.verb === 'put') {
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
      this.put(JSON.parse(Buffer.concat(chunks).toString()) as FakeObject);
    } else if (request.verb === 'delete') {
      this.delete(resource, key);
      response.end(statusText(200, 'Deleted', ''));
      return;
    }
    const stored = this.store.get(resource, key);
    if (stored === undefined) refuse(response, { status: 404, reason: 'NotFound', message: `${key} not found` });
    else response.end(stored.json);
  }
}
