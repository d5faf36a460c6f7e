import type { HttpResponse } from '../../host/http';
import type { Credentials } from './credentials';
import { fieldsOf, textOf } from './decode-fields';
import { parseRetryAfter } from './retry-after';
import { oneLine } from './text-bounds';

export interface AnsweredRequest {
  /** The HTTP status, or client-go's `<error>` when no answer came. */
  readonly code: string;
  readonly method: string;
  readonly host: string;
  /** Time until the status line came. */
  readonly seconds: number;
}

/** Counts requests and watches, for metrics. */
export interface KubernetesObserver {
  watchStarted(resource: string): void;
  watchEnded(resource: string, reason: string): void;
  /** All objects of a resource are being listed again. */
  relisted(resource: string, reason: string): void;
  requestDone(answer: AnsweredRequest): void;
  /** Everything in the cluster has been reported, and changes are reported as they happen. */
  watchCurrent?(resource: string): void;
  /** The watch is no longer current, or not yet. */
  watchLost?(resource: string, reason: string): void;
  /** The watch has not been current for a minute. */
  watchStale?(resource: string, reason: string): void;
  /** The resource is no longer watched. */
  watchGone?(resource: string): void;
}

/** The API server refused a request: with a Status object in its answer, or in an ERROR event of a watch. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  constructor(
    /** The HTTP status, or the code of the Status object. */
    readonly status: number,
    /** Status.reason, or ''. */
    readonly reason: string,
    message: string,
    /** From the header Retry-After. */
    readonly retryAfterMs?: number,
  ) {
    super(`${status}${message === '' ? '' : ` ${message}`}`);
  }
}

/** Makes an error of a Status object. Anything else gives an empty reason and message. */
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

/** Reads the body. When it breaks off, is too long or does not end, returns the part that came, with `isWhole` false. */
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
  if (!isWhole) throw new Error(`${response.status}, but the answer is cut short, too slow or too long`);
  const answer: unknown = JSON.parse(text);
  return answer;
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

/** The body of a request and how it is sent. A request without it is a GET. */
interface Sent {
  readonly method: 'POST' | 'PATCH';
  /** The Content-Type of the body. */
  readonly type: string;
  readonly body: string;
}

/** Requests to one API server with its credentials. */
export class ApiClient {
  readonly #responseTimeoutMs: number;
  readonly #host: string;
  readonly #credentials: Credentials;
  readonly #options: ApiClientOptions;

  constructor(credentials: Credentials, options: ApiClientOptions) {
    this.#credentials = credentials;
    this.#options = options;
    this.#responseTimeoutMs = options.responseTimeoutMs ?? 30_000;
    this.#host = new URL(credentials.server).host;
  }

  get server(): string {
    return this.#credentials.server;
  }

  /**
   * Returns the answer once its status is 200; the caller reads the body. Throws ApiError for any other status, and what node:http
   * throws when no answer came. After a 401, reads the credentials again and sends the request once more.
   */
  get(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<HttpResponse> {
    return this.#request(`${path}?${new URLSearchParams(query).toString()}`, signal);
  }

  /** Posts an object and returns the body of the answer as JSON. Throws like get. */
  async post(path: string, object: unknown, signal: AbortSignal): Promise<unknown> {
    const sent: Sent = { method: 'POST', type: 'application/json', body: JSON.stringify(object) };
    return readJson(await this.#request(path, signal, sent), this.#responseTimeoutMs);
  }

  /** Returns the whole body, of at most 1 MiB, as JSON. Throws like get. */
  async json(path: string, signal: AbortSignal): Promise<unknown> {
    return readJson(await this.#request(path, signal), this.#responseTimeoutMs);
  }

  async #request(path: string, signal: AbortSignal, sent?: Sent): Promise<HttpResponse> {
    let error = await this.#try(path, signal, sent);
    if (error instanceof ApiError && error.status === 401) {
      this.#credentials.renew();
      error = await this.#try(path, signal, sent);
    }
    if (error instanceof ApiError) throw error;
    return error;
  }

  close(): void {
    this.#credentials.close();
  }

  async #try(path: string, signal: AbortSignal, sent: Sent | undefined): Promise<HttpResponse | ApiError> {
    const { connections, headers } = await this.#credentials.access();
    let code = '<error>';
    const startedMs = performance.now();
    let answeredMs: number | undefined;
    try {
      const response = await connections.send({
        url: new URL(`${this.server}${path}`),
        ...(sent === undefined ? {} : { method: sent.method, body: sent.body }),
        // No gzip: sending 60 MB to a node takes little time, and compressing it would make the start slower on both sides.
        headers: {
          accept: 'application/json',
          'accept-encoding': 'identity',
          'user-agent': this.#options.userAgent,
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
      this.#options.observer?.requestDone({ code, method: sent?.method ?? 'GET', host: this.#host, seconds });
    }
  }
}
