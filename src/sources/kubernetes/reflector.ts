import type { Clock } from '../../host/clock';
import { HttpSilenceError } from '../../host/http';
import type { HttpResponse } from '../../host/http';
import type { Logger } from '../../telemetry/log';
import type { ApiClient, KubernetesObserver } from './api-client';
import { ApiError } from './api-client';
import type { BackoffTiming } from './backoff';
import { Backoff } from './backoff';
import { LineSplitter } from './line-splitter';
import { ListSplitter } from './list-splitter';
import type { ObjectFeed } from './object-feed';
import type { Selectors } from './queries';
import { listQuery, watchQuery } from './queries';
import type { Reachability } from './reachability';
import type { Resource } from './resources';
import { decodeListMeta, decodeMeta, parseWatchEvent } from './watch-event';

export interface ReflectorTiming {
  /** Watches ask the server to end them after this long or up to twice as long. */
  readonly watchSeconds: number;
  /** How much longer than it was asked to last a watch may be silent. */
  readonly watchMarginMs: number;
  /** The same once bookmarks, which a server sends every minute, have been seen. */
  readonly bookmarkSilenceMs: number;
  /** Silence among the initial events of a WatchList after which the server is taken not to know WatchList. */
  readonly initialEventsSilenceMs: number;
  /** A watch that ends sooner counts as a failure. */
  readonly shortWatchMs: number;
  readonly listSilenceMs: number;
  readonly pageSize: number;
  readonly backoff: BackoffTiming;
}

export interface ReflectorOptions {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly reachability: Reachability;
  readonly observer?: KubernetesObserver;
  readonly timing: ReflectorTiming;
  /** In [0, 1). */
  readonly random: () => number;
  /** All objects have been named once. Called once. */
  readonly onListed: () => void;
  /** The server has no such resource, and never had one: the reflector has ended. */
  readonly onMissing?: () => void;
}

/** A watch that broke off after it had begun: where to resume is known, and nothing is said about the server yet. */
class BrokenWatch extends Error {
  override readonly name = 'BrokenWatch';
}

type ListReason = 'start' | 'expired';

function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** For metrics: few and stable. */
function endReason(failure: Error | undefined): string {
  if (failure === undefined) return 'ended';
  if (failure instanceof ApiError) return String(failure.status);
  return failure instanceof HttpSilenceError ? 'silent' : 'broken';
}

/** The server no longer has this resource version, or does not have it yet. */
function isUnservedVersion(error: ApiError): boolean {
  return error.status === 410 || (error.status === 504 && /too large resource version/i.test(error.message));
}

/**
 * Keeps a feed in step with one resource of the API server, by client-go's rules: what there is by WatchList, or by a list
 * in pages where the server knows no WatchList; then a watch, resumed where it broke off.
 */
export class Reflector {
  readonly #stop = new AbortController();
  readonly #backoff: Backoff;
  #done: Promise<void> = Promise.resolve();
  /** Where the next watch begins; '' until a list has said. */
  #resourceVersion = '';
  /** Why a whole list is needed; undefined while a watch will do. */
  #listReason: ListReason | undefined = 'start';
  /** The server could not serve #resourceVersion: the next list asks for the latest state there is. */
  #latestOnly = false;
  /** A continue token expired: the next list asks for everything at once. */
  #unpaged = false;
  #watchList = true;
  #fieldSelector: string | undefined;
  #everListed = false;
  #listedMs = 0;
  #sawBookmark = false;

  constructor(
    private readonly resource: Resource,
    private readonly feed: ObjectFeed,
    private readonly options: ReflectorOptions,
  ) {
    this.#backoff = new Backoff(options.timing.backoff, options.clock, options.random);
    this.#fieldSelector = resource.fieldSelector;
  }

  start(): void {
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      let failure: Error;
      try {
        if (this.#listReason !== undefined && !this.#watchList) await this.#list();
        else await this.#watch();
        continue;
      } catch (error) {
        failure = errorOf(error);
      }
      if (this.#stop.signal.aborted) return;
      if (this.#isMissing(failure)) {
        this.options.onMissing?.();
        return;
      }
      if (!this.#adapt(failure)) await this.#waitAfter(failure);
    }
  }

  /** Only a resource that was never there: an API server that starts may answer so for a moment. */
  #isMissing(failure: Error): boolean {
    return (
      failure instanceof ApiError && failure.status === 404 && !this.#everListed && this.options.onMissing !== undefined
    );
  }

  async #waitAfter(failure: Error): Promise<void> {
    const { reachability, log } = this.options;
    const retryAfterMs = failure instanceof ApiError ? (failure.retryAfterMs ?? 0) : 0;
    const retryMs = Math.max(this.#backoff.nextMs(), retryAfterMs);
    if (failure instanceof BrokenWatch)
      log.debug({ resource: this.resource.name, err: failure.message }, 'watch broke off');
    else reachability.failed(this.resource.name, failure, retryMs);
    await reachability.wait(retryMs, failure, this.#stop.signal);
  }

  /** Whether another kind of request may do, at once; false: wait and try the same. */
  #adapt(failure: Error): boolean {
    if (!(failure instanceof ApiError)) return false;
    if (isUnservedVersion(failure)) {
      if (this.#listReason === undefined) {
        this.#listReason = 'expired';
        // A server that refuses what its own list has just named is not asked in a loop.
        return this.options.clock.now() - this.#listedMs >= this.options.timing.shortWatchMs;
      }
      if (this.#latestOnly) return false;
      this.#latestOnly = true;
      return true;
    }
    if (this.#listReason === undefined) return false;
    // 422: the feature is off. 400 and 405: servers, and what stands in front of them, that never heard of it.
    if (this.#watchList && [400, 405, 422].includes(failure.status)) {
      this.#refuseWatchList();
      return true;
    }
    if (
      failure.status === 400 &&
      this.#fieldSelector !== undefined &&
      this.resource.worksWithoutFieldSelector === true
    ) {
      this.#fieldSelector = undefined;
      this.#watchList = true;
      return true;
    }
    return false;
  }

  #refuseWatchList(): void {
    this.options.log.debug({ resource: this.resource.name }, 'API server knows no WatchList');
    this.#watchList = false;
  }

  /** What there is, where a list is needed, and then what happens. Resolves when the next watch may follow at once. */
  async #watch(): Promise<void> {
    const { client, clock, log, observer, reachability, timing, random } = this.options;
    const resource = this.resource.name;
    const initial = this.#listReason !== undefined;
    const seconds = Math.round(timing.watchSeconds * (1 + random()));
    const startedMs = clock.now();
    const from = this.#latestOnly ? '' : this.#resourceVersion;
    const query = watchQuery(this.#selectors(), from, initial, seconds);
    const response = await client.get(this.resource.path, query, this.#stop.signal);
    if (!initial) reachability.succeeded(resource);
    observer?.watchStarted(resource);
    let failure: Error | undefined;
    try {
      await this.#readWatch(response, initial, seconds);
    } catch (error) {
      failure = errorOf(error);
    }
    response.close();
    this.feed.flush();
    if (this.#stop.signal.aborted) return;
    observer?.watchEnded(resource, endReason(failure));
    if (failure instanceof ApiError) throw failure;
    if (this.#listReason === undefined) {
      const text = failure?.message ?? 'ended by the server';
      if (clock.now() - startedMs < timing.shortWatchMs) throw new BrokenWatch(text);
      log.debug({ resource, err: text }, 'watch ended; resuming');
    } else {
      // Nothing, or no bookmark after the objects: a server that ignores what it does not know.
      if (!(failure instanceof HttpSilenceError)) throw failure ?? new Error('watch ended amid its initial events');
      this.#refuseWatchList();
    }
  }

  async #readWatch(response: HttpResponse, initial: boolean, seconds: number): Promise<void> {
    const { timing } = this.options;
    const silenceMs = (): number =>
      this.#sawBookmark ? timing.bookmarkSilenceMs : seconds * 1000 + timing.watchMarginMs;
    if (initial) this.feed.beginList();
    const lines = new LineSplitter((line) => {
      const event = parseWatchEvent(line);
      switch (event.kind) {
        case 'set':
          if (this.#listReason === undefined) this.feed.set(event.meta, event.object);
          else this.feed.listed(event.meta, event.object);
          break;
        case 'delete':
          this.feed.delete(event.meta);
          break;
        case 'bookmark':
          if (event.initialEventsEnd && this.#listReason !== undefined) {
            this.#finishList(event.resourceVersion);
            response.limitSilence(silenceMs());
          } else if (!this.#sawBookmark && this.#listReason === undefined) {
            this.#sawBookmark = true;
            response.limitSilence(silenceMs());
          }
          break;
        case 'error':
          throw event.error;
        case 'other':
          return;
      }
      // Initial events come in the order of keys: their versions say nothing about where to resume.
      const version = event.kind === 'bookmark' ? event.resourceVersion : event.meta.resourceVersion;
      if (this.#listReason === undefined && version !== '') this.#resourceVersion = version;
    });
    await response.read((chunk) => lines.push(chunk), initial ? timing.initialEventsSilenceMs : silenceMs());
  }

  async #list(): Promise<void> {
    const { client, timing } = this.options;
    this.feed.beginList();
    // The first may be as old as the server's cache (0), later ones not older than what is known.
    const from = this.#latestOnly ? '' : this.#resourceVersion === '' ? '0' : this.#resourceVersion;
    let continueToken = '';
    let resourceVersion = '';
    do {
      const items = new ListSplitter((text) => {
        const object: unknown = JSON.parse(text);
        this.feed.listed(decodeMeta(object), object);
      });
      try {
        const query = listQuery(this.#selectors(), from, continueToken, this.#unpaged ? undefined : timing.pageSize);
        const response = await client.get(this.resource.path, query, this.#stop.signal);
        await response.read((chunk) => items.push(chunk), timing.listSilenceMs);
      } catch (error) {
        this.#unpaged ||= continueToken !== '' && error instanceof ApiError && error.status === 410;
        throw error;
      }
      ({ continueToken, resourceVersion } = decodeListMeta(items.end()));
    } while (continueToken !== '');
    this.#finishList(resourceVersion);
  }

  #finishList(resourceVersion: string): void {
    const { observer, reachability, onListed } = this.options;
    this.feed.endList();
    observer?.relisted(this.resource.name, this.#listReason ?? '');
    reachability.succeeded(this.resource.name);
    this.#resourceVersion = resourceVersion;
    this.#listReason = undefined;
    this.#latestOnly = false;
    this.#unpaged = false;
    this.#listedMs = this.options.clock.now();
    if (this.#everListed) return;
    this.#everListed = true;
    onListed();
  }

  #selectors(): Selectors {
    return { labelSelector: this.resource.labelSelector, fieldSelector: this.#fieldSelector };
  }
}
