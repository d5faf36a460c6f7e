import type { Clock } from '../../host/clock';
import { systemClock } from '../../host/clock';
import type { Logger } from '../../telemetry/log';
import type { ClusterSink, Source } from '../source';
import type { KubernetesObserver } from './api-client';
import { ApiClient } from './api-client';
import { apiBackoff } from './backoff';
import type { Credentials } from './credentials';
import { ObjectFeed } from './object-feed';
import { Reachability } from './reachability';
import type { ReflectorTiming } from './reflector';
import { Reflector } from './reflector';
import type { Resource } from './resources';
import { endpoints, endpointSlices, nodeNamed, services } from './resources';

export interface KubernetesTiming extends ReflectorTiming {
  /** How long the first word waits for this node. */
  readonly nodeWaitMs: number;
  readonly responseTimeoutMs: number;
}

const kubernetesTiming: KubernetesTiming = {
  watchSeconds: 300,
  watchMarginMs: 30_000,
  bookmarkSilenceMs: 150_000,
  initialEventsSilenceMs: 10_000,
  shortWatchMs: 1000,
  listSilenceMs: 30_000,
  pageSize: 500,
  backoff: apiBackoff,
  nodeWaitMs: 30_000,
  responseTimeoutMs: 30_000,
};

export interface KubernetesSourceOptions {
  readonly credentials: Credentials;
  /** '' where no node is to be watched. */
  readonly nodeName: string;
  /** `vipwire/VERSION`. */
  readonly userAgent: string;
  readonly log: Logger;
  readonly observer?: KubernetesObserver;
  readonly clock?: Clock;
  /** In [0, 1). */
  readonly random?: () => number;
  readonly timing?: Partial<KubernetesTiming>;
}

/** Watches Services, EndpointSlices (Endpoints where there are none) and this Node. */
export class KubernetesSource implements Source {
  readonly client: ApiClient;
  readonly #clock: Clock;
  readonly #timing: KubernetesTiming;
  readonly #reachability: Reachability;
  readonly #reflectors: Reflector[] = [];
  readonly #stop = new AbortController();
  /** What synced() waits for. */
  readonly #unlisted = new Set<'services' | 'endpoints' | 'node'>();

  constructor(private readonly options: KubernetesSourceOptions) {
    const { credentials, userAgent, observer, clock = systemClock, log } = options;
    this.#clock = clock;
    this.#timing = { ...kubernetesTiming, ...options.timing };
    const { responseTimeoutMs } = this.#timing;
    const observed = observer === undefined ? {} : { observer };
    this.client = new ApiClient(credentials, { userAgent, responseTimeoutMs, ...observed });
    this.#reachability = new Reachability(credentials.server, clock, log);
  }

  start(sink: ClusterSink): void {
    const { nodeName } = this.options;
    this.#unlisted.add('services').add('endpoints');
    if (nodeName !== '') this.#unlisted.add('node');
    const listed = (what: 'services' | 'endpoints' | 'node') => (): void => {
      if (this.#unlisted.delete(what) && this.#unlisted.size === 0) sink.synced();
    };
    this.#reflect(sink, services, listed('services'));
    this.#reflect(sink, endpointSlices, listed('endpoints'), () => {
      this.options.log.info({ server: this.client.server }, 'API server has no EndpointSlices; watching Endpoints');
      this.#reflect(sink, endpoints, listed('endpoints'));
    });
    if (nodeName === '') return;
    this.#reflect(sink, nodeNamed(nodeName), listed('node'));
    void this.#clock.sleep(this.#timing.nodeWaitMs, this.#stop.signal).then(() => {
      if (!this.#stop.signal.aborted) listed('node')();
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#reflectors.map((reflector) => reflector.stop()));
    this.client.close();
  }

  #reflect(sink: ClusterSink, resource: Resource, onListed: () => void, onMissing?: () => void): void {
    const { log, observer, random = Math.random } = this.options;
    const reflector = new Reflector(resource, new ObjectFeed(resource, sink), {
      client: this.client,
      clock: this.#clock,
      log,
      reachability: this.#reachability,
      timing: this.#timing,
      random,
      onListed,
      ...(observer === undefined ? {} : { observer }),
      ...(onMissing === undefined ? {} : { onMissing }),
    });
    this.#reflectors.push(reflector);
    reflector.start();
  }
}
