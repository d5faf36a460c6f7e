/** HTTP/1.1 requests whose answers are read as they arrive: what a watch needs. */
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';

export type { HttpAgent };

/** PEM texts and checks of a TLS connection. */
export interface TlsSettings {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** Name that the server's certificate must carry, where it is not the URL's host. */
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

export interface HttpRequest {
  readonly url: URL;
  /** Default: GET. One that is sent over an idle connection which the server just closed is sent again. */
  readonly method?: 'GET' | 'POST' | 'PATCH';
  readonly body?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** Longest silence before the status line, connecting included. */
  readonly responseTimeoutMs: number;
}

/** Nothing arrived for this long. */
export class HttpSilenceError extends Error {
  override readonly name = 'HttpSilenceError';
  constructor(readonly silentMs: number) {
    super(`silent for ${Math.round(silentMs / 1000)} s`);
  }
}

/** The kernel asks a silent peer whether it is there: with libuv's ten probes a second apart, a dead one is known after 25 s. */
const tcpKeepAliveMs = 15_000;

/** Four SYNs. A new attempt finds a network that is back sooner than the kernel's next SYN, which is 8 s away. */
const connectTimeoutMs = 10_000;

/** Node tries all addresses of a name and then says nothing but that all failed: the first failure is the message. */
function causeOf(error: Error): Error {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : undefined;
  return first instanceof Error ? first : error;
}

export class HttpResponse {
  #failure: Error | undefined;
  #silenceMs = 0;

  constructor(
    private readonly request: ClientRequest,
    private readonly message: IncomingMessage,
  ) {
    // A response that fails while nobody reads it must not end the process; read() finds the failure here.
    message.on('error', (error) => (this.#failure ??= causeOf(error)));
    request.on('timeout', () => this.#fail(new HttpSilenceError(this.#silenceMs)));
  }

  get status(): number {
    return this.message.statusCode ?? 0;
  }

  header(lowerCaseName: string): string | undefined {
    const value = this.message.headers[lowerCaseName];
    return Array.isArray(value) ? value[0] : value;
  }

  /**
   * Hands over the body's bytes as they arrive and resolves at its end. Rejects when it is cut short, when nothing
   * arrives for idleMs (HttpSilenceError), with what onChunk throws, or when the request's signal aborts. Call once.
   */
  read(onChunk: (chunk: Buffer) => void, idleMs: number): Promise<void> {
    const { message } = this;
    return new Promise((resolve, reject) => {
      this.limitSilence(idleMs);
      message.on('data', (chunk: Buffer) => {
        if (this.#failure !== undefined) return;
        try {
          onChunk(chunk);
        } catch (error) {
          this.#fail(error instanceof Error ? error : new Error(String(error)));
        }
      });
      const done = (): void => {
        if (this.#failure === undefined && message.complete) resolve();
        else reject(this.#failure ?? new Error('the connection was closed in the middle of the response'));
      };
      // An aborted message still ends, with `complete` false, and may have closed before anyone read it.
      message.on('close', done);
      if (message.closed) done();
    });
  }

  /** Changes the idle limit of a read in hand. */
  limitSilence(idleMs: number): void {
    this.#silenceMs = idleMs;
    this.request.setTimeout(idleMs);
  }

  /** Gives the response up, and its connection. */
  close(): void {
    this.request.destroy();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    // Without the error: where the body's end came in the same read, the socket has nobody left to hear of it.
    this.request.destroy();
  }
}

/** Connections to one server with one set of TLS settings; those that are idle are kept and used again. */
export class HttpConnections {
  readonly #agent: HttpAgent;

  /** With an agent (a proxy's), the TLS settings are already in it. */
  constructor(secure: boolean, tls: TlsSettings, agent?: HttpAgent) {
    this.#agent = agent ?? (secure ? new HttpsAgent({ keepAlive: true, ...tls }) : new HttpAgent({ keepAlive: true }));
  }

  /** Resolves with whatever status the server answers; rejects when no answer comes. */
  async send(request: HttpRequest): Promise<HttpResponse> {
    for (;;) {
      const attempt = this.#send(request);
      try {
        return await attempt.response;
      } catch (error) {
        // The server had closed an idle connection just when it was used again: that says nothing about the server.
        if (!attempt.reusedSocket() || request.signal.aborted || error instanceof HttpSilenceError) throw error;
      }
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  #send({ url, method = 'GET', headers, body, signal, responseTimeoutMs }: HttpRequest): {
    readonly response: Promise<HttpResponse>;
    reusedSocket(): boolean;
  } {
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const request = send(url, { method, agent: this.#agent, headers, signal });
    const response = new Promise<HttpResponse>((resolve, reject) => {
      // A timer of its own: node:http's begins when the socket is connected, and the kernel tries for two minutes.
      let timer: NodeJS.Timeout;
      const limit = (ms: number): void => {
        clearTimeout(timer);
        timer = setTimeout(() => request.destroy(new HttpSilenceError(ms)), ms);
      };
      limit(responseTimeoutMs);
      request.on('socket', (socket) => {
        socket.setKeepAlive(true, tcpKeepAliveMs);
        if (!socket.connecting) return;
        limit(Math.min(connectTimeoutMs, responseTimeoutMs));
        socket.once('connect', () => limit(responseTimeoutMs));
      });
      request.on('error', (error) => {
        clearTimeout(timer);
        reject(causeOf(error));
      });
      request.on('response', (message) => {
        clearTimeout(timer);
        resolve(new HttpResponse(request, message));
      });
      request.end(body);
    });
    return { response, reusedSocket: () => request.reusedSocket };
  }
}
