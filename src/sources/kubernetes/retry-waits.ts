import { ApiError } from './api-client';
import { Backoff } from './backoff';
import type { ReflectorOptions, ReflectorTiming } from './reflector-options';

interface RetryOptions extends Pick<ReflectorOptions, 'clock' | 'log' | 'reachability' | 'random'> {
  readonly timing: Pick<ReflectorTiming, 'backoff'>;
}

/** How a reflector waits after failures: longer each time, never shorter than the server asks for, and until it is stopped. */
export class RetryWaits {
  readonly #resource: string;
  readonly #options: RetryOptions;
  readonly #signal: AbortSignal;
  readonly #backoff: Backoff;

  constructor(resource: string, options: RetryOptions, signal: AbortSignal) {
    this.#resource = resource;
    this.#options = options;
    this.#signal = signal;
    this.#backoff = new Backoff(options.timing.backoff, options.clock, options.random);
  }

  /** The failure counts against the API server, and is logged. */
  async loudly(failure: Error): Promise<void> {
    const { reachability } = this.#options;
    const retryMs = this.#retryMs(failure);
    reachability.failed(this.#resource, failure, retryMs);
    await reachability.wait(this.#resource, retryMs, failure, this.#signal);
  }

  async quietly(failure: Error): Promise<void> {
    await this.#options.reachability.wait(this.#resource, this.#retryMs(failure), failure, this.#signal);
  }

  /** The server has no such resource. */
  async forResource(): Promise<void> {
    const { clock, log } = this.#options;
    const retryMs = this.#backoff.nextMs();
    log.debug({ resource: this.#resource, retryMs }, 'the API server has no such resource');
    await clock.sleep(retryMs, this.#signal);
  }

  #retryMs(failure: Error): number {
    return Math.max(this.#backoff.nextMs(), failure instanceof ApiError ? (failure.retryAfterMs ?? 0) : 0);
  }
}
