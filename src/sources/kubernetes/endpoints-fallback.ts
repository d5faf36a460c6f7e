import type { Answer } from '../../model/answer';
import type { Logger } from '../../telemetry/log';

export interface EndpointsFallbackOptions {
  /** Asks whether the API server lists EndpointSlices among what it serves. */
  readonly ask: () => Promise<Answer<true>>;
  /** Starts a watch of Endpoints. The returned function ends it and removes the Endpoints that it reported. */
  readonly start: () => () => Promise<void>;
  readonly log: Logger;
}

/** A starting API server answers 404 for some seconds. With backoff, this many answers take ten seconds in all. */
export const mostMissing = 4;

/**
 * Switches to Endpoints while the API server has no EndpointSlices: only after it has answered 404 several times and does not list them
 * among what it serves, and only as long as that is so.
 */
export class EndpointsFallback {
  #missing = 0;
  #end: (() => Promise<void>) | undefined;
  #hasWarned = false;

  readonly #options: EndpointsFallbackOptions;

  constructor(options: EndpointsFallbackOptions) {
    this.#options = options;
  }

  get isOn(): boolean {
    return this.#end !== undefined;
  }

  /** To be called when a request for EndpointSlices was answered with 404. */
  async missing(): Promise<void> {
    if (this.isOn) return;
    const { ask, start, log } = this.#options;
    const answer = await ask();
    if (answer.kind !== 'absent') {
      this.#missing = 0;
      const reason = answer.kind === 'found' ? 'its list of APIs includes them' : answer.reason;
      if (!this.#hasWarned) log.warn({ reason }, 'API server answers 404 for EndpointSlices; trying again');
      this.#hasWarned = true;
      return;
    }
    if (++this.#missing < mostMissing) return;
    log.warn('API server has no EndpointSlices; watching Endpoints until it has them');
    this.#end = start();
  }

  /** To be called when all EndpointSlices have been listed. */
  async found(): Promise<void> {
    const end = this.#end;
    this.#missing = 0;
    if (end === undefined) return;
    this.#end = undefined;
    this.#options.log.info('API server has EndpointSlices now; Endpoints are no longer watched');
    await end();
  }
}
