import type { Answer } from '../../model/answer';
import type { Logger } from '../../telemetry/log';

export interface EndpointsFallbackOptions {
  /** Whether the API server names EndpointSlices among what it serves. */
  readonly ask: () => Promise<Answer<true>>;
  /** Begins to watch Endpoints; what comes back ends it and takes back what was told. */
  readonly start: () => () => Promise<void>;
  readonly log: Logger;
}

/** An API server that starts answers 404 for seconds. The answers are further and further apart: ten seconds in all. */
const mostMissing = 4;

/**
 * Endpoints instead of EndpointSlices, where the API server has none: only when it has said so several times and does not name
 * them either, and only for as long as that is so.
 */
export class EndpointsFallback {
  #missing = 0;
  #end: (() => Promise<void>) | undefined;
  #hasWarned = false;

  constructor(private readonly options: EndpointsFallbackOptions) {}

  get isOn(): boolean {
    return this.#end !== undefined;
  }

  /** EndpointSlices were answered with a 404. */
  async missing(): Promise<void> {
    if (this.isOn) return;
    const { ask, start, log } = this.options;
    const answer = await ask();
    if (answer.kind !== 'absent') {
      this.#missing = 0;
      const reason = answer.kind === 'found' ? 'its list of APIs names them' : answer.reason;
      if (!this.#hasWarned) log.warn({ reason }, 'API server answers 404 for EndpointSlices; asked again');
      this.#hasWarned = true;
      return;
    }
    if (++this.#missing < mostMissing) return;
    log.warn('API server has no EndpointSlices; watching Endpoints until it has');
    this.#end = start();
  }

  /** EndpointSlices are there, and were all told. */
  async found(): Promise<void> {
    const end = this.#end;
    this.#missing = 0;
    if (end === undefined) return;
    this.#end = undefined;
    this.options.log.info('API server has EndpointSlices again; Endpoints are watched no longer');
    await end();
  }
}
