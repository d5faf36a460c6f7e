import { type Clock, systemClock } from '../../host/clock';
import type { Logger } from '../../telemetry/log';
import type { ClusterSink, Source } from '../source';
import { ApiClient, type KubernetesObserver } from './api-client';
import { askGroupVersion } from './api-groups';
import { apiBackoff } from './backoff';
import type { Credentials } from './credentials';
import { EndpointsFallback } from './endpoints-fallback';
import { listNodeAddresses } from './node-addresses';
import { ObjectFeed } from './object-feed';
import { Reachability } from './reachability';
import { Reflector } from './reflector';
import type { ReflectorTiming } from './reflector-options';
import { endpoints, endpointSlices, nodeNamed, type Resource, services } from './resources';

export interface KubernetesTiming extends ReflectorTiming {
  /** How long `synced` waits for this Node at most. */
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
  listRate: 1024,
  listTotalMs: 600_000,
  relistSpreadMs: 60_000,
  staleMs: 60_000,
  pageSize: 500,
  backoff: apiBackoff,
  nodeWaitMs: 30_000,
  responseTimeoutMs: 30_000,
};

export interface KubernetesSourceOptions {
  readonly credentials: Credentials;
  /** '' to watch no Node. */
  readonly nodeName: string;
  /** Such as `vipwire/VERSION`. */
  readonly userAgent: string;
  readonly log: Logger;
  readonly observer?: KubernetesObserver;
  readonly clock?: Clock;
  /** Returns a number in [0, 1). */
  readonly random?: () => number;
  readonly timing?: Partial<KubernetesTiming>;
}

/** Watches Services, EndpointSlices (or Endpoints when the API server has none) and this Node. */
export class KubernetesSource implements Source {
  readonly client: ApiClient;
  readonly #clock: Clock;
  readonly #timing: KubernetesTiming;
  readonly #reachability: Reachability;
  readonly #reflectors = new Set<Reflector>();
  readonly #stop = new AbortController();
  /** What has not been listed yet. synced() waits for all of it. */
  readonly #unlisted = new Set<'services' | 'endpoints' | 'node'>();

  readonly #options: KubernetesSourceOptions;

  constructor(options: KubernetesSourceOptions) {
    this.#options = options;
    const { credentials, userAgent, observer, clock = systemClock, log } = options;
    this.#clock = clock;
    this.#timing = { ...kubernetesTiming, ...options.timing };
    const { responseTimeoutMs } = this.#timing;
    const observed = observer === undefined ? {} : { observer };
    this.client = new ApiClient(credentials, { userAgent, responseTimeoutMs, ...observed });
    this.#reachability = new Reachability(credentials.server, clock, log);
  }

  start(sink: ClusterSink): void {
    const { nodeName } = this.#options;
    this.#unlisted.add('services').add('endpoints');
    if (nodeName !== '') this.#unlisted.add('node');
    const listed = (what: 'services' | 'endpoints' | 'node') => (): void => {
      if (this.#unlisted.delete(what) && this.#unlisted.size === 0) sink.synced();
    };
    this.#reflect(services, new ObjectFeed(services, sink), listed('services'));
    this.#reflectEndpoints(sink, listed('endpoints'));
    if (nodeName === '') return;
    const node = nodeNamed(nodeName);
    this.#reflect(node, new ObjectFeed(node, sink), listed('node'));
    void this.#clock.sleep(this.#timing.nodeWaitMs, this.#stop.signal).then(() => {
      if (!this.#stop.signal.aborted) listed('node')();
    });
  }

  listNodeAddresses(signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
    return listNodeAddresses(this.client, signal);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all([...this.#reflectors].map((reflector) => reflector.stop()));
    this.client.close();
  }

  #reflectEndpoints(sink: ClusterSink, onListed: () => void): void {
    const fallback = new EndpointsFallback({
      ask: () => askGroupVersion(this.client, 'discovery.k8s.io/v1', this.#stop.signal),
      start: () => {
        slices.isReplaced();
        const feed = new ObjectFeed(endpoints, sink);
        const reflector = this.#reflect(endpoints, feed, onListed);
        return async () => {
          this.#reflectors.delete(reflector);
          await reflector.stop();
          feed.clear();
        };
      },
      log: this.#options.log,
    });
    const slices = this.#reflect(
      endpointSlices,
      new ObjectFeed(endpointSlices, sink),
      () => {
        onListed();
        void fallback.found();
      },
      async () => {
        if (!this.#stop.signal.aborted) await fallback.missing();
      },
    );
  }

  #reflect(resource: Resource, feed: ObjectFeed, onListed: () => void, onMissing?: () => Promise<void>): Reflector {
    const { log, observer, random = Math.random } = this.#options;
    const reflector = new Reflector(resource, feed, {
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
    this.#reflectors.add(reflector);
    reflector.start();
    return reflector;
  }
}
