import type { Clock } from '../../host/clock';
import { HttpSlownessError } from '../../host/http';
import type { Logger } from '../../telemetry/log';
import { ApiError } from './api-client';
import { NotAListError } from './list-answer';
import { TextTooLongError } from './text-bounds';

/** Whether the server, and not the request, has a problem. */
function isTrouble(error: unknown): boolean {
  return !(error instanceof ApiError) || error.status === 429 || error.status >= 500;
}

/** The server answered, but the answer says nothing about the cluster. */
function isUnusable(error: Error): boolean {
  return [NotAListError, TextTooLongError, HttpSlownessError, SyntaxError].some((kind) => error instanceof kind);
}

/** Least time between two early ends of a resource's waits. Otherwise two resources that keep failing would wake each other without a pause. */
const wakeEveryMs = 5000;
/** When the server gave a Retry-After, the wait lasts at least this long, even if another resource gets an answer. */
const shortestRetryAfterMs = 1000;
/** Least time between two equal messages about a resource. */
const sayEveryMs = 600_000;
const mostSaid = 50;

interface Waiting {
  /** The wait may not end before. */
  readonly fromMs: number;
  readonly wake: () => void;
}

/**
 * Logs the state of the API server for all resources together: one line when it stops answering and one when it answers again, and one
 * line when it refuses a resource and one when it serves that resource again.
 */
export class Reachability {
  readonly #failing = new Set<string>();
  readonly #refused = new Map<string, number>();
  #awaySinceMs: number | undefined;
  /** The waits for a next attempt, by resource. */
  readonly #waiting = new Map<string, Waiting>();
  readonly #wokenMs = new Map<string, number>();
  readonly #saidMs = new Map<string, number>();

  readonly #server: string;
  readonly #clock: Clock;
  readonly #log: Logger;

  constructor(server: string, clock: Clock, log: Logger) {
    this.#server = server;
    this.#clock = clock;
    this.#log = log;
  }

  failed(resource: string, error: Error, retryMs: number): void {
    const server = this.#server;
    this.#log.debug({ server, resource, err: error.message, retryMs: Math.round(retryMs) }, 'request failed');
    if (isUnusable(error)) {
      this.#failing.add(resource);
      this.say('warn', resource, error.message, 'API server sends unusable answers; rules stay as they are');
    } else if (isTrouble(error)) {
      if (this.#awaySinceMs === undefined) {
        this.#awaySinceMs = performance.now();
        this.#log.warn({ server, resource, err: error.message }, 'API server does not answer; rules stay as they are');
      }
      this.#failing.add(resource);
    } else if (error instanceof ApiError && this.#refused.get(resource) !== error.status) {
      this.#refused.set(resource, error.status);
      this.#log.error({ server, resource, err: error.message }, 'API server refuses the request');
    }
  }

  succeeded(resource: string): void {
    if (this.#refused.delete(resource))
      this.#log.info({ server: this.#server, resource }, 'API server serves the resource again');
    if (this.#failing.delete(resource) && this.#failing.size === 0 && this.#awaySinceMs !== undefined) {
      const awayMs = Math.round(performance.now() - this.#awaySinceMs);
      this.#awaySinceMs = undefined;
      this.#log.info({ server: this.#server, awayMs }, 'API server answers again');
    }
    // The other resources need not wait any longer.
    for (const [other, waiting] of this.#waiting) if (other !== resource) this.#wake(other, waiting);
  }

  /** Logs what happened to a watch that the server had accepted. Logs equal messages at most once in ten minutes. */
  say(level: 'info' | 'warn', resource: string, reason: string, message: string): void {
    const key = `${resource} ${message} ${reason.slice(0, 40)}`;
    const nowMs = performance.now();
    for (const [said, atMs] of this.#saidMs) if (nowMs - atMs >= sayEveryMs) this.#saidMs.delete(said);
    if (this.#saidMs.has(key) || this.#saidMs.size >= mostSaid) {
      this.#log.debug({ resource, reason }, message);
      return;
    }
    this.#saidMs.set(key, nowMs);
    this.#log[level]({ resource, reason }, message);
  }

  /** Waits for `ms`, or less if the signal aborts, or if the server had trouble and then answers a request for another resource. */
  async wait(resource: string, ms: number, error: Error, signal: AbortSignal): Promise<void> {
    const controller = new AbortController();
    const wake = (): void => controller.abort();
    signal.addEventListener('abort', wake);
    const startedMs = performance.now();
    const afterMs = error instanceof ApiError ? Math.min(error.retryAfterMs ?? 0, shortestRetryAfterMs) : 0;
    const waiting = { fromMs: startedMs + afterMs, wake };
    if (isTrouble(error)) this.#waiting.set(resource, waiting);
    try {
      if (!signal.aborted) await this.#clock.sleep(ms, controller.signal);
    } finally {
      wake();
      signal.removeEventListener('abort', wake);
      if (this.#waiting.get(resource) === waiting) this.#waiting.delete(resource);
    }
  }

  #wake(resource: string, { fromMs, wake }: Waiting): void {
    const nowMs = performance.now();
    const atMs = Math.max(nowMs, fromMs, (this.#wokenMs.get(resource) ?? -Infinity) + wakeEveryMs);
    this.#wokenMs.set(resource, atMs);
    this.#waiting.delete(resource);
    if (atMs <= nowMs) wake();
    else setTimeout(wake, atMs - nowMs).unref();
  }
}
