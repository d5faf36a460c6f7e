/** The answer to an HTTP request, read as it arrives and within limits. */
import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';

export type SilencePhase = 'connect' | 'answer' | 'body';

/** Nothing arrived for too long. */
export class HttpSilenceError extends Error {
  override readonly name = 'HttpSilenceError';
  constructor(
    readonly silentMs: number,
    /** What was waited for: a connection, the status line, or more of the body. */
    readonly phase: SilencePhase = 'body',
  ) {
    super(`silent for ${Math.round(silentMs / 1000)} s`);
  }
}

/** Data arrived, but too slowly. */
export class HttpSlownessError extends Error {
  override readonly name = 'HttpSlownessError';
}

export interface ReadLimits {
  /** The longest silence. */
  readonly idleMs: number;
  /** The fewest bytes per second, on average over each idleMs. */
  readonly leastRate?: number;
  /** The longest time for the whole body. */
  readonly totalMs?: number;
}

/** Node tries all addresses of a name, and its error says only that all failed. The first failure has the message. */
export function causeOf(error: Error): Error {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : undefined;
  return first instanceof Error ? first : error;
}

function seconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}

export class HttpResponse {
  #failure: Error | undefined;
  #silenceMs = 0;
  #bytes = 0;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #body: Readable;
  readonly #request: ClientRequest;
  readonly #message: IncomingMessage;

  constructor(request: ClientRequest, message: IncomingMessage) {
    this.#request = request;
    this.#message = message;
    // A response that fails while nobody reads it must not end the process; read() finds the failure here.
    message.on('error', (error) => (this.#failure ??= causeOf(error)));
    request.on('timeout', () => this.#fail(new HttpSilenceError(this.#silenceMs)));
    this.#body = this.#decoded();
  }

  get status(): number {
    return this.#message.statusCode ?? 0;
  }

  header(lowerCaseName: string): string | undefined {
    const value = this.#message.headers[lowerCaseName];
    return Array.isArray(value) ? value[0] : value;
  }

  /**
   * Hands over the body's bytes as they arrive, and resolves at its end. Rejects when the body is cut short, when it is too slow
   * (HttpSilenceError, HttpSlownessError), with what onChunk throws, and when the request's signal aborts. Call it once.
   */
  async read(onChunk: (chunk: Buffer) => void, limits: ReadLimits | number): Promise<void> {
    this.limit(typeof limits === 'number' ? { idleMs: limits } : limits);
    try {
      await this.#read(onChunk);
    } finally {
      this.#clearTimers();
    }
  }

  #read(onChunk: (chunk: Buffer) => void): Promise<void> {
    const message = this.#message;
    const body = this.#body;
    return new Promise((resolve, reject) => {
      message.on('data', (chunk: Buffer) => (this.#bytes += chunk.length));
      body.on('data', (chunk: Buffer) => {
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
      body.on('close', done);
      if (body.closed) done();
    });
  }

  /** Replaces the limits while the body is read; the time for the whole body starts again. */
  limit({ idleMs, leastRate, totalMs }: ReadLimits): void {
    this.#clearTimers();
    this.#silenceMs = idleMs;
    this.#request.setTimeout(idleMs);
    if (leastRate !== undefined) this.#limitRate(leastRate, idleMs);
    if (totalMs === undefined) return;
    const tooLong = (): void => this.#fail(new HttpSlownessError(`not complete after ${seconds(totalMs)}`));
    this.#timers.add(setTimeout(tooLong, totalMs));
  }

  /** Gives up the response and its connection. */
  close(): void {
    this.#clearTimers();
    this.#request.destroy();
  }

  #limitRate(leastRate: number, windowMs: number): void {
    let before = this.#bytes;
    let checkedMs = performance.now();
    const check = (): void => {
      const came = this.#bytes - before;
      const tookMs = performance.now() - checkedMs;
      before = this.#bytes;
      checkedMs += tookMs;
      // Where this process was busy, it has not read everything that has come. Silence has its own limit.
      if (tookMs > 1.5 * windowMs || came === 0 || came * 1000 >= leastRate * windowMs) return;
      this.#fail(new HttpSlownessError(`too slow: ${came} bytes in ${seconds(windowMs)}`));
    };
    this.#timers.add(setInterval(check, windowMs));
  }

  /** The request does not ask for gzip, but a proxy in front of the server may compress all the same. */
  #decoded(): Readable {
    const message = this.#message;
    if (this.header('content-encoding') !== 'gzip') return message;
    const plain = createGunzip();
    plain.on('error', (error) => this.#fail(error));
    message.on('close', () => {
      if (!message.complete) plain.destroy();
    });
    return message.pipe(plain);
  }

  #clearTimers(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#timers.clear();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#clearTimers();
    // Without the error: where the body's end came in the same read, nobody listens to the socket's errors any more.
    this.#request.destroy();
    if (this.#body !== this.#message) this.#body.destroy();
  }
}
