import type { Clock } from '../../host/clock';
import type { Logger } from '../../telemetry/log';
import { ApiError } from './api-client';

/** Statuses with which a server says that it, not the request, has a problem. */
function isTrouble(error: unknown): boolean {
  return !(error instanceof ApiError) || error.status === 429 || error.status >= 500;
}

/**
 * What an operator reads about the API server, over all resources together: one line when it goes away and one when it is
 * back; one line for a resource that it refuses, until it serves that resource again.
 */
export class Reachability {
  readonly #failing = new Set<string>();
  readonly #refused = new Map<string, number>();
  #awaySinceMs = 0;
  readonly #waiting = new Set<() => void>();

  constructor(
    private readonly server: string,
    private readonly clock: Clock,
    private readonly log: Logger,
  ) {}

  failed(resource: string, error: Error, retryMs: number): void {
    const { server } = this;
    this.log.debug({ server, resource, err: error.message, retryMs: Math.round(retryMs) }, 'request failed');
    if (isTrouble(error)) {
      if (this.#failing.size === 0) {
        this.#awaySinceMs = this.clock.now();
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
    if (!this.#failing.delete(resource)) return;
    if (this.#failing.size === 0) {
      const awayMs = this.clock.now() - this.#awaySinceMs;
      this.log.info({ server: this.server, awayMs }, 'API server is back');
    }
    // Whoever waits for its next attempt need not any more.
    for (const wake of this.#waiting) wake();
  }

  /** Waits for ms; less where the server had trouble and another resource finds it well again, or the signal aborts. */
  async wait(ms: number, error: Error, signal: AbortSignal): Promise<void> {
    const controller = new AbortController();
    const wake = (): void => controller.abort();
    signal.addEventListener('abort', wake);
    if (isTrouble(error) && !(error instanceof ApiError)) this.#waiting.add(wake);
    try {
      if (!signal.aborted) await this.clock.sleep(ms, controller.signal);
    } finally {
      signal.removeEventListener('abort', wake);
      this.#waiting.delete(wake);
    }
  }
}
