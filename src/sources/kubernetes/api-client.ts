import type { HttpResponse } from '../../host/http';
import type { Credentials } from './credentials';
import { fieldsOf, textOf } from './decode-fields';
import { parseRetryAfter } from './retry-after';
import { oneLine } from './text-bounds';

export interface AnsweredRequest {
  /** The HTTP status, or client-go's `<error>` where no answer came. */
  readonly code: string;
  readonly method: string;
  readonly host: string;
  /** To the status line. */
  readonly seconds: number;
}

/** Counts requests and watches, for metrics. */
export interface KubernetesObserver {
  watchStarted(resource: string): void;
  watchEnded(resource: string, reason: string): void;
  /** All objects of a resource are read anew. */
  relisted(resource: string, reason: string): void;
  requestDone(answer: AnsweredRequest): void;
  /** All that is in the cluster was told, and what changes is told as it happens. */
  watchCurrent?(resource: string): void;
  /** That is no longer so, or not yet. */
  watchLost?(resource: string, reason: string): void;
  /** That has been so for a minute. */
  watchStale?(resource: string, reason: string): void;
  /** Nobody wants to know of the resource any more. */
  watchGone?(resource: string): void;
}

/** The API server said no: a Status object, in an answer or in a watch's ERROR event. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  constructor(
    /** HTTP status, or the Status object's code. */
    readonly status: number,
    /** Status.reason, '' without one. */
    readonly reason: string,
    message: string,
    /** Retry-After. */
    readonly retryAfterMs?: number,
  ) {
    super(`${status}${message === '' ? '' : ` ${message}`}`);
  }
}

/** The parts of a Status object; whatever else it was gives an empty reason and message. */
export function apiErrorOf(status: unknown, httpStatus: number, retryAfterMs?: number): ApiError {
  const { code, reason, message } = fieldsOf(status);
  return new ApiError(
    typeof code === 'number' ? code : httpStatus,
    oneLine(textOf(reason), 100),
    oneLine(textOf(message)),
    retryAfterMs,
  );
}

const maxErrorBytes = 64 * 1024;
const maxAnswerBytes = 1024 * 1024;

/** What there is of it, where it breaks off, is too long or does not end. */
async function readText(
  response: HttpResponse,
  mostBytes: number,
  timeoutMs: number,
): Promise<{ readonly text: string; readonly isWhole: boolean }> {
  const chunks: Buffer[] = [];
  let length = 0;
  let isWhole = true;
  const keep = (chunk: Buffer): void => {
    const left = mostBytes - length;
    length += chunk.length;
    chunks.push(chunk.subarray(0, left));
    if (length > mostBytes) throw new Error('too long');
  };
  await response.read(keep, { idleMs: timeoutMs, totalMs: timeoutMs }).catch(() => (isWhole = false));
  return { text: Buffer.concat(chunks).toString('utf8'), isWhole };
}

async function readJson(response: HttpResponse, timeoutMs: number): Promise<unknown> {
  const { text, isWhole } = await readText(response, maxAnswerBytes, timeoutMs);
  if (!isWhole) throw new Error(`${response.status}, and an answer that is cut short, too slow or too long`);
  return JSON.parse(text) as unknown;
}

async function readError(response: HttpResponse, timeoutMs: number): Promise<ApiError> {
  const { text } = await readText(response, maxErrorBytes, timeoutMs);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    body = { message: oneLine(text.split('\n', 1)[0] ?? '', 200) };
  }
  const retryAfterMs = parseRetryAfter(response.header('retry-after'), response.header('date'));
  return apiErrorOf(body, response.status, retryAfterMs);
}

export interface ApiClientOptions {
  /** `vipwire/VERSION`. */
  readonly userAgent: string;
  readonly observer?: KubernetesObserver;
  /** Longest silence before an answer's status line. Default 30 s. */
  readonly responseTimeoutMs?: number;
}

/** What is sent; without it a GET. */
interface Sent {
  readonly method: 'POST' | 'PATCH';
  /** Of the body. */
  readonly type: string;
  readonly body: string;
}

/** Requests to one API server with its credentials. */
export class ApiClient {
  readonly #responseTimeoutMs: number;
  readonly #host: string;

  constructor(
    private readonly credentials: Credentials,
    private readonly options: ApiClientOptions,
  ) {
    this.#responseTimeoutMs = options.responseTimeoutMs ?? 30_000;
    this.#host = new URL(credentials.server).host;
  }

  get server(): string {
    return this.credentials.server;
  }

  /**
   * The answer, once its status is 200; its body is still to be read. Throws ApiError for any other status, and what
   * node:http throws where no answer came. After a 401 the credentials are read anew and the request sent once more.
   */
  get(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<HttpResponse> {
    return this.#request(`${path}?${new URLSearchParams(query).toString()}`, signal);
  }

  /** Creates an object, or asks by one: the answer's body as JSON. Throws as get does. */
  async post(path: string, object: unknown, signal: AbortSignal): Promise<unknown> {
    const sent: Sent = { method: 'POST', type: 'application/json', body: JSON.stringify(object) };
    return readJson(await this.#request(path, signal, sent), this.#responseTimeoutMs);
  }

  /** A whole answer, of at most 1 MiB. Throws as get does. */
  async json(path: string, signal: AbortSignal): Promise<unknown> {
    return readJson(await this.#request(path, signal), this.#responseTimeoutMs);
  }

  async #request(path: string, signal: AbortSignal, sent?: Sent): Promise<HttpResponse> {
    let error = await this.#try(path, signal, sent);
    if (error instanceof ApiError && error.status === 401) {
      this.credentials.renew();
      error = await this.#try(path, signal, sent);
    }
    if (error instanceof ApiError) throw error;
    return error;
  }

  close(): void {
    this.credentials.close();
  }

  async #try(path: string, signal: AbortSignal, sent: Sent | undefined): Promise<HttpResponse | ApiError> {
    const { connections, headers } = await this.credentials.access();
    let code = '<error>';
    const startedMs = performance.now();
    let answeredMs: number | undefined;
    try {
      const response = await connections.send({
        url: new URL(`${this.server}${path}`),
        ...(sent === undefined ? {} : { method: sent.method, body: sent.body }),
        // No gzip: reading 60 MB is quick on the way to a node, and unpacking it would cost start-up time on both sides.
        headers: {
          accept: 'application/json',
          'accept-encoding': 'identity',
          'user-agent': this.options.userAgent,
          ...(sent === undefined ? {} : { 'content-type': sent.type }),
          ...headers,
        },
        signal,
        responseTimeoutMs: this.#responseTimeoutMs,
      });
      answeredMs = performance.now();
      code = String(response.status);
      return response.status === 200 || response.status === 201
        ? response
        : await readError(response, this.#responseTimeoutMs);
    } finally {
      const seconds = ((answeredMs ?? performance.now()) - startedMs) / 1000;
      this.options.observer?.requestDone({ code, method: sent?.method ?? 'GET', host: this.#host, seconds });
    }
  }
}
