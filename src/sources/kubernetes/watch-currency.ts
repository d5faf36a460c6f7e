import type { Clock } from '../../host/clock';
import type { Logger } from '../../telemetry/log';
import type { KubernetesObserver } from './api-client';

export interface WatchCurrencyOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly observer?: KubernetesObserver;
  /** How long a watch may be not current before that is reported. */
  readonly staleMs: number;
}

/** Tracks whether a watch is current. Logs once when it has not been current for long, and once when it is current again. */
export class WatchCurrency {
  #state: 'unwatched' | 'current' | 'lost' | 'stale' = 'unwatched';
  #reason = '';
  #lostMs = 0;
  #timer = new AbortController();

  readonly #resource: string;
  readonly #options: WatchCurrencyOptions;

  constructor(resource: string, options: WatchCurrencyOptions) {
    this.#resource = resource;
    this.#options = options;
  }

  current(): void {
    if (this.#state === 'current') return;
    const { log, observer } = this.#options;
    if (this.#state === 'stale') {
      const seconds = Math.round((performance.now() - this.#lostMs) / 1000);
      log.info({ resource: this.#resource, seconds }, 'the watch is current again');
    }
    this.#state = 'current';
    this.#timer.abort();
    observer?.watchCurrent?.(this.#resource);
  }

  lost(reason: string): void {
    this.#reason = reason;
    if (this.#state === 'lost' || this.#state === 'stale') return;
    this.#state = 'lost';
    this.#lostMs = performance.now();
    this.#options.observer?.watchLost?.(this.#resource, reason);
    void this.#warnLater();
  }

  /** To be called when the resource is no longer watched. */
  stop(): void {
    if (this.#state === 'unwatched') return;
    this.#state = 'unwatched';
    this.#timer.abort();
    this.#options.observer?.watchGone?.(this.#resource);
  }

  async #warnLater(): Promise<void> {
    const { clock, log, observer, staleMs } = this.#options;
    this.#timer = new AbortController();
    const { signal } = this.#timer;
    await clock.sleep(staleMs, signal);
    if (signal.aborted) return;
    this.#state = 'stale';
    const seconds = Math.round(staleMs / 1000);
    log.warn(
      { resource: this.#resource, seconds, reason: this.#reason },
      'the watch has not been current for some time; rules stay as they are',
    );
    observer?.watchStale?.(this.#resource, this.#reason);
  }
}
