import { type Clock, systemClock } from '../../host/clock';
import type { Logger } from '../../telemetry/log';
import type { ClusterSink, Source } from '../source';
import { ApiClient, type KubernetesObserver } from './api-client';
import { askGroupVersion } from './api-groups';
import { apiBackoff } from './backoff';
import type { Credentials } from './credentials';
import { EndpointsFallback, mostMissing } from './endpoints-fallback';
import { listNodeAddresses } from './node-addresses';
import { ObjectFeed } from './object-feed';
import { OptionalWatch } from './optional-watch';
import { Reachability } from './reachability';
import { Reflector } from './reflector';
import type { ReflectorTiming } from './reflector-options';
import { endpoints, endpointSlices, nodeNamed, type Resource, serviceCIDRs, services } from './resources';

export interface KubernetesTiming extends ReflectorTiming {
  /** How long `synced` waits for this Node at most. */
  readonly nodeWaitMs: number;
  /** How long `synced` waits for ServiceCIDRs at most, so that a restart finds the rules that it would write. */
  readonly serviceCIDRWaitMs: number;
  /** When the API server has no ServiceCIDRs, it is asked again after a time between this and twice this. */
  readonly absentKindMs: number;
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
  serviceCIDRWaitMs: 1000,
  absentKindMs: 120_000,
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

/** What `synced` waits for. */
type Awaited = 'services' | 'endpoints' | 'node' | 'service CIDRs';

/** Watches Services, EndpointSlices (or Endpoints when the API server has none), this Node and, where they are wanted, ServiceCIDRs. */
export class KubernetesSource implements Source {
  readonly client: ApiClient;
  readonly #clock: Clock;
  readonly #timing: KubernetesTiming;
  readonly #reachability: Reachability;
  readonly #reflectors = new Set<Reflector>();
  readonly #stop = new AbortController();
  /** What has not been listed yet. synced() waits for all of it. */
  readonly #unlisted = new Set<Awaited>();
  #wantsServiceCIDRs = false;
  #serviceCIDRs: OptionalWatch | undefined;

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
    if (this.#wantsServiceCIDRs) this.#unlisted.add('service CIDRs');
    const listed = (what: Awaited) => (): void => {
      if (this.#unlisted.delete(what) && this.#unlisted.size === 0) sink.synced();
    };
    this.#reflect(services, new ObjectFeed(services, sink), listed('services'));
    this.#reflectEndpoints(sink, listed('endpoints'));
    this.#serviceCIDRs = new OptionalWatch(() => this.#reflectServiceCIDRs(sink, listed('service CIDRs')));
    this.#serviceCIDRs.want(this.#wantsServiceCIDRs);
    this.#after(this.#timing.serviceCIDRWaitMs, listed('service CIDRs'));
    if (nodeName === '') return;
    const node = nodeNamed(nodeName);
    this.#reflect(node, new ObjectFeed(node, sink), listed('node'));
    this.#after(this.#timing.nodeWaitMs, listed('node'));
  }

  readServiceCIDRs(isWanted: boolean): void {
    this.#wantsServiceCIDRs = isWanted;
    this.#serviceCIDRs?.want(isWanted);
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

  /** As long as the API server has no such kind, there are none. A failing watch keeps what it knows. */
  #reflectServiceCIDRs(sink: ClusterSink, onAnswered: () => void): () => Promise<void> {
    const { log, random = Math.random } = this.#options;
    const feed = new ObjectFeed(serviceCIDRs, sink);
    const ended = new AbortController();
    const signal = AbortSignal.any([ended.signal, this.#stop.signal]);
    let missing = 0;
    const onMissing = async (): Promise<void> => {
      onAnswered();
      // A starting API server answers 404 too, so the first requests follow each other soon.
      if (++missing < mostMissing) return;
      if (missing === mostMissing)
        log.info(
          { resource: serviceCIDRs.name },
          'API server has no ServiceCIDRs: packets to unused addresses of Services are not dropped',
        );
      reflector.isReplaced();
      await this.#clock.sleep(this.#timing.absentKindMs * (1 + random()), signal);
    };
    const reflector = this.#reflect(serviceCIDRs, feed, onAnswered, onMissing);
    return async () => {
      ended.abort();
      this.#reflectors.delete(reflector);
      await reflector.stop();
      feed.clear();
    };
  }

  #after(ms: number, then: () => void): void {
    void this.#clock.sleep(ms, this.#stop.signal).then(() => {
      if (!this.#stop.signal.aborted) then();
    });
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
