import type { Clock } from '../../host/clock';
import { HttpSlownessError } from '../../host/http';
import type { Logger } from '../../telemetry/log';
import { ApiError } from './api-client';
import { NotAListError } from './list-answer';
import { TextTooLongError } from './text-bounds';

/** Statuses with which a server says that it, not the request, has a problem. */
function isTrouble(error: unknown): boolean {
  return !(error instanceof ApiError) || error.status === 429 || error.status >= 500;
}

/** It answered, and what came says nothing about the cluster. */
function isUnusable(error: Error): boolean {
  return [NotAListError, TextTooLongError, HttpSlownessError, SyntaxError].some((kind) => error instanceof kind);
}

/** Waits that two resources end for each other stay this far apart: each of them may fail again. */
const wakeEveryMs = 5000;
/** A server that names a time is left alone for so long, whatever it answers others. */
const shortestRetryAfterMs = 1000;
/** The same words about the same resource are not said more often. */
const sayEveryMs = 600_000;
const mostSaid = 50;

interface Waiting {
  /** Not before. */
  readonly fromMs: number;
  readonly wake: () => void;
}

/**
 * What an operator reads about the API server, over all resources together: one line when it goes away and one when it is
 * back; one line for a resource that it refuses, until it serves that resource again.
 */
export class Reachability {
  readonly #failing = new Set<string>();
  readonly #refused = new Map<string, number>();
  #awaySinceMs: number | undefined;
  /** Who waits for the next attempt, by resource. */
  readonly #waiting = new Map<string, Waiting>();
  readonly #wokenMs = new Map<string, number>();
  readonly #saidMs = new Map<string, number>();

  constructor(
    private readonly server: string,
    private readonly clock: Clock,
    private readonly log: Logger,
  ) {}

  failed(resource: string, error: Error, retryMs: number): void {
    const { server } = this;
    this.log.debug({ server, resource, err: error.message, retryMs: Math.round(retryMs) }, 'request failed');
    if (isUnusable(error)) {
      this.#failing.add(resource);
      this.say('warn', resource, error.message, 'the API server does not answer as it should; rules stay as they are');
    } else if (isTrouble(error)) {
      if (this.#awaySinceMs === undefined) {
        this.#awaySinceMs = performance.now();
        this.log.warn({ server, resource, err: error.message }, 'API server is away; rules stay as they are');
      }
      this.#failing.add(resource);
    } else if (error instanceof ApiError && this.#refused.get(resource) !== error.status) {
      this.#refused.set(resource, error.status);
      this.log.error({ server, resource, err: error.message }, 'API server refuses the request');
    }
  }

  succeeded(resource: string): void {
    if (this.#refused.delete(resource)) this.log.info({ server: this.server, resource }, 'API server serves it again');
    if (this.#failing.delete(resource) && this.#failing.size === 0 && this.#awaySinceMs !== undefined) {
      const awayMs = Math.round(performance.now() - this.#awaySinceMs);
      this.#awaySinceMs = undefined;
      this.log.info({ server: this.server, awayMs }, 'API server is back');
    }
    // Whoever waits for its next attempt need not any more.
    for (const [other, waiting] of this.#waiting) if (other !== resource) this.#wake(other, waiting);
  }

  /** What befell a watch that the server had accepted. Said at most once in ten minutes. */
  say(level: 'info' | 'warn', resource: string, reason: string, message: string): void {
    const key = `${resource} ${message} ${reason.slice(0, 40)}`;
    const nowMs = performance.now();
    for (const [said, atMs] of this.#saidMs) if (nowMs - atMs >= sayEveryMs) this.#saidMs.delete(said);
    if (this.#saidMs.has(key) || this.#saidMs.size >= mostSaid) {
      this.log.debug({ resource, reason }, message);
      return;
    }
    this.#saidMs.set(key, nowMs);
    this.log[level]({ resource, reason }, message);
  }

  /** Waits for ms; less where the server had trouble and answers another resource well, or the signal aborts. */
  async wait(resource: string, ms: number, error: Error, signal: AbortSignal): Promise<void> {
    const controller = new AbortController();
    const wake = (): void => controller.abort();
    signal.addEventListener('abort', wake);
    const startedMs = performance.now();
    const afterMs = error instanceof ApiError ? Math.min(error.retryAfterMs ?? 0, shortestRetryAfterMs) : 0;
    const waiting = { fromMs: startedMs + afterMs, wake };
    if (isTrouble(error)) this.#waiting.set(resource, waiting);
    try {
      if (!signal.aborted) await this.clock.sleep(ms, controller.signal);
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
