import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FakeFailure, FakeFaults } from './fake-api-faults';

/** The body of a response, with its faults. Once it is frozen, it sends nothing more and stays open. */
export class FakeBody {
  frozen = false;
  #sent = Promise.resolve();
  #bytes = 0;

  constructor(
    readonly response: ServerResponse,
    private readonly slow: FakeFaults['slow'],
    private readonly cutAfterBytes = Infinity,
  ) {}

  write(text: string): void {
    if (this.frozen || this.response.destroyed) return;
    const left = this.cutAfterBytes - this.#bytes;
    const all = Buffer.from(text);
    const bytes = all.length > left ? all.subarray(0, left) : all;
    this.#bytes += bytes.length;
    if (this.slow === undefined) this.response.write(bytes);
    else this.#dribble(bytes, this.slow);
    if (this.#bytes >= this.cutAfterBytes) void this.#sent.then(() => setTimeout(() => this.response.destroy(), 5));
  }

  end(): void {
    void this.#sent.then(() => this.response.end());
  }

  #dribble(bytes: Buffer, { bytes: step, everyMs }: NonNullable<FakeFaults['slow']>): void {
    this.#sent = this.#sent.then(async () => {
      for (let at = 0; at < bytes.length && !this.response.destroyed; at += step) {
        this.response.write(bytes.subarray(at, at + step));
        await sleep(everyMs);
      }
    });
  }
}

const joinedLength = 64 * 1024;

/** Makes few large writes. With tens of thousands of small ones a benchmark would measure only the writes. */
export function writeJoined(body: FakeBody, texts: readonly string[]): void {
  let joined: string[] = [];
  let length = 0;
  for (const text of texts) {
    joined.push(text);
    length += text.length;
    if (length < joinedLength) continue;
    body.write(joined.join(''));
    joined = [];
    length = 0;
  }
  if (length > 0) body.write(joined.join(''));
}

/** A Status object. */
export function statusText(code: number, reason: string, message: string): string {
  return JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message });
}

export function refuse(
  response: ServerResponse,
  failure: Omit<Extract<FakeFailure, { kind: 'status' }>, 'kind'>,
): void {
  const { status, reason = '', message = '', retryAfterSeconds, retryAfter = retryAfterSeconds } = failure;
  const headers = retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) };
  response
    .writeHead(status, { 'content-type': 'application/json', ...headers })
    .end(statusText(status, reason, message));
}
