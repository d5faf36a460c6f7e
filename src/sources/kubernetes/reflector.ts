import { type HttpResponse, HttpSilenceError } from '../../host/http';
import { ApiError } from './api-client';
import { Backoff } from './backoff';
import { isOlder } from './known-objects';
import { isUnservedVersion, ListWays } from './list-ways';
import type { ObjectFeed } from './object-feed';
import { listQuery, watchQuery } from './queries';
import { readList, readWatch } from './read-answers';
import { initialEventsLimits, listLimits, watchLimits } from './read-limits';
import type { ReflectorOptions } from './reflector-options';
import type { Resource } from './resources';
import { ResumeFailures } from './resume-failures';
import { oneLine } from './text-bounds';
import { WatchCurrency } from './watch-currency';
import { causeOf, EndedWatch, endOf, endReason, WentBackError } from './watch-end';
import type { WatchEvent } from './watch-event';

type ListReason = 'start' | 'expired' | 'failing' | 'silent' | 'older';

/** More pages than objects that a cluster can have. */
const mostPages = 20_000;
/** A watch that was resumed after failures is believed after so long, or at its first event. */
const believedAfterMs = 5000;

function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/**
 * Keeps a feed in step with one resource of the API server, by client-go's rules: what there is by WatchList, or by a list
 * in pages where the server knows no WatchList; then a watch, resumed where it broke off, until resuming fails.
 */
export class Reflector {
  readonly #stop = new AbortController();
  readonly #backoff: Backoff;
  readonly #ways: ListWays;
  readonly #failures: ResumeFailures;
  readonly #currency: WatchCurrency;
  #done: Promise<void> = Promise.resolve();
  /** Where the next watch begins; '' until a list has said. */
  #resourceVersion = '';
  /** Why a whole list is needed; undefined while a watch will do. */
  #listReason: ListReason | undefined = 'start';
  #everListed = false;
  #listedMs = 0;
  #sawBookmark = false;
  /** No watch has ended since the list. */
  #isFresh = true;
  /** Events of the watch in hand. */
  #events = 0;

  constructor(
    private readonly resource: Resource,
    private readonly feed: ObjectFeed,
    private readonly options: ReflectorOptions,
  ) {
    const { timing, clock, random, log, observer } = options;
    this.#backoff = new Backoff(timing.backoff, clock, random);
    this.#ways = new ListWays(resource);
    this.#failures = new ResumeFailures(timing.shortWatchMs);
    const told = observer === undefined ? {} : { observer };
    this.#currency = new WatchCurrency(resource.name, { clock, log, staleMs: timing.staleMs, ...told });
  }

  start(): void {
    this.#currency.lost('not listed yet');
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
    this.#currency.stop();
  }

  /** Another resource is told in its place: nobody misses it for now. */
  isReplaced(): void {
    this.#currency.stop();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const isList = this.#listReason !== undefined && !this.#ways.byWatchList;
      const failure = await (isList ? this.#list() : this.#watch()).then(() => undefined, errorOf);
      if (failure !== undefined && !this.#stop.signal.aborted) await this.#after(failure);
    }
  }

  async #after(failure: Error): Promise<void> {
    const { resource } = this;
    const cause = failure instanceof EndedWatch ? failure.failure : failure;
    if (
      cause instanceof ApiError &&
      cause.status === 404 &&
      !this.#everListed &&
      this.options.onMissing !== undefined
    ) {
      await this.options.onMissing();
      const retryMs = this.#backoff.nextMs();
      this.options.log.debug({ resource: resource.name, retryMs }, 'API server has no such resource');
      await this.options.clock.sleep(retryMs, this.#stop.signal);
      return;
    }
    if (cause !== undefined && this.#adapt(cause)) return;
    if (this.#listReason !== undefined) {
      this.#ways.failed();
      await this.#complainAndWait(failure);
    } else await this.#nextWatch(failure);
  }

  /** Whether another kind of request may do, at once. */
  #adapt(failure: Error): boolean {
    if (this.#listReason !== undefined) return this.#ways.adapt(failure);
    if (failure instanceof WentBackError) {
      this.#listReason = 'older';
      this.#ways.latestOnly = true;
      return true;
    }
    if (!isUnservedVersion(failure)) return false;
    this.#listReason = 'expired';
    // A server that refuses what its own list has just named is not asked in a loop.
    return performance.now() - this.#listedMs >= this.options.timing.shortWatchMs;
  }

  async #complainAndWait(failure: Error): Promise<void> {
    const { reachability } = this.options;
    const retryMs = this.#retryMs(failure);
    reachability.failed(this.resource.name, failure, retryMs);
    this.#currency.lost(failure.message);
    await reachability.wait(this.resource.name, retryMs, failure, this.#stop.signal);
  }

  #retryMs(failure: Error): number {
    return Math.max(this.#backoff.nextMs(), failure instanceof ApiError ? (failure.retryAfterMs ?? 0) : 0);
  }

  /** A watch ended, or could not be opened. */
  async #nextWatch(failure: Error): Promise<void> {
    const { reachability, clock, timing, random } = this.options;
    const { name } = this.resource;
    const end = endOf(failure, !this.#isFresh);
    this.#isFresh = false;
    const failedBefore = this.#failures.inARow;
    const next = this.#failures.next(end);
    if (next === 'list apart') {
      this.#listReason = 'silent';
      reachability.say('warn', name, failure.message, 'the watch is silent, resumed too; listing anew within a minute');
      await clock.sleep(random() * timing.relistSpreadMs, this.#stop.signal);
    } else if (next === 'list') {
      this.#listReason = 'failing';
      reachability.say('warn', name, failure.message, 'the watch fails whenever it is resumed; listing anew');
      // The first time at once; where lists do not help either, less and less often.
      if (failedBefore > 1) await this.#quietWait(failure);
    } else if (!(failure instanceof EndedWatch)) await this.#complainAndWait(failure);
    else if (next === 'wait') {
      if (end.cause === 'bad') reachability.say('info', name, failure.message, 'the watch failed; resuming it');
      await this.#quietWait(failure);
    } else this.options.log.debug({ resource: name, reason: failure.message }, 'watch ended; resuming');
  }

  async #quietWait(failure: Error): Promise<void> {
    const retryMs = this.#retryMs(failure);
    await this.options.reachability.wait(this.resource.name, retryMs, failure, this.#stop.signal);
  }

  /** What there is, where a list is needed, and then what happens. Throws EndedWatch when a watch that was open has ended. */
  async #watch(): Promise<void> {
    const { client, observer, reachability, timing, random } = this.options;
    const resource = this.resource.name;
    const initial = this.#listReason !== undefined;
    const seconds = Math.round(timing.watchSeconds * (1 + random()));
    const from = this.#ways.latestOnly ? '' : this.#resourceVersion;
    const query = watchQuery(this.#selectors(), from, initial, seconds);
    const resumed = !initial && !this.#isFresh;
    const response = await client.get(this.resource.path, query, this.#stop.signal);
    const openedMs = performance.now();
    if (!initial) reachability.succeeded(resource);
    observer?.watchStarted(resource);
    this.#events = 0;
    const believing = new AbortController();
    if (!initial) this.#believe(resumed, believing.signal);
    const failure = await this.#follow(response, initial, seconds).then(() => undefined, errorOf);
    believing.abort();
    response.close();
    this.feed.flush();
    if (this.#stop.signal.aborted) return;
    observer?.watchEnded(resource, endReason(failure));
    this.#currency.lost(failure?.message ?? 'ended by the server');
    if (this.#listReason === undefined) {
      const openMs = performance.now() - openedMs;
      throw new EndedWatch({ cause: causeOf(failure), resumed, openMs, events: this.#events }, failure);
    }
    // Nothing, or no bookmark after the objects: a server that ignores what it does not know.
    if (!(failure instanceof HttpSilenceError)) throw failure ?? new Error('watch ended amid its initial events');
    this.options.log.debug({ resource }, 'API server knows no WatchList');
    this.#ways.leaveWatchList(false);
  }

  /** A watch that follows a list is current at once; one that follows failures when it has stayed. */
  #believe(resumed: boolean, ended: AbortSignal): void {
    if (!resumed || this.#failures.inARow === 0) {
      this.#currency.current();
      return;
    }
    void this.options.clock.sleep(believedAfterMs, ended).then(() => {
      if (!ended.aborted) this.#currency.current();
    });
  }

  async #follow(response: HttpResponse, initial: boolean, seconds: number): Promise<void> {
    const { timing } = this.options;
    if (initial) this.feed.beginList();
    const limits = initial ? initialEventsLimits(timing) : watchLimits(timing, seconds, this.#sawBookmark);
    await readWatch(response, this.resource.kind, limits, (event) => {
      const wasListing = this.#listReason !== undefined;
      const hadSeen = this.#sawBookmark;
      this.#take(event);
      if ((wasListing && this.#listReason === undefined) || hadSeen !== this.#sawBookmark)
        response.limit(watchLimits(timing, seconds, this.#sawBookmark));
    });
  }

  #take(event: Exclude<WatchEvent, { kind: 'error' }>): void {
    const isListing = this.#listReason !== undefined;
    this.#events++;
    if (event.kind === 'bookmark') {
      if (!isListing) this.#takeBookmark(event.resourceVersion);
      else if (event.initialEventsEnd) this.#finishList(event.resourceVersion);
    } else if (event.kind === 'delete') this.feed.delete(event.meta);
    else if (isListing) this.feed.listed(event.meta, event.object);
    else this.feed.set(event.meta, event.object);
    if (this.#listReason !== undefined) return;
    this.#currency.current();
    // Initial events come in the order of keys: their versions say nothing about where to resume.
    if (!isListing && event.kind !== 'bookmark') this.#advance(event.meta.resourceVersion);
  }

  #takeBookmark(version: string): void {
    this.#sawBookmark = true;
    if (isOlder(version, this.#resourceVersion))
      throw new WentBackError(`versions went back from ${this.#resourceVersion} to ${oneLine(version, 40)}`);
    this.#advance(version);
  }

  #advance(version: string): void {
    if (version !== '' && !isOlder(version, this.#resourceVersion)) this.#resourceVersion = version;
  }

  async #list(): Promise<void> {
    const { client, timing } = this.options;
    const limits = listLimits(timing);
    this.feed.beginList();
    // The first may be as old as the server's cache (0), later ones not older than what is known.
    const from = this.#ways.latestOnly ? '' : this.#resourceVersion === '' ? '0' : this.#resourceVersion;
    let continueToken = '';
    for (let pages = 1; ; pages++) {
      const query = listQuery(this.#selectors(), from, continueToken, this.#ways.unpaged ? undefined : timing.pageSize);
      try {
        const response = await client.get(this.resource.path, query, this.#stop.signal);
        const page = await readList(response, this.resource.kind, limits, (meta, object) =>
          this.feed.listed(meta, object),
        );
        if (page.continueToken === '') {
          this.#finishList(page.resourceVersion);
          return;
        }
        if (pages === mostPages || page.continueToken === continueToken) throw new Error('the list has no last page');
        continueToken = page.continueToken;
      } catch (error) {
        this.#ways.unpaged ||= continueToken !== '' && error instanceof ApiError && error.status === 410;
        throw error;
      }
    }
  }

  #finishList(resourceVersion: string): void {
    const { observer, reachability, onListed } = this.options;
    this.feed.endList();
    observer?.relisted(this.resource.name, this.#listReason ?? '');
    reachability.succeeded(this.resource.name);
    const wentBack = isOlder(resourceVersion, this.#resourceVersion);
    this.#resourceVersion = resourceVersion;
    this.#listReason = undefined;
    this.#ways.succeeded();
    this.#isFresh = true;
    this.#listedMs = performance.now();
    if (wentBack) {
      this.feed.distrust();
      throw new WentBackError('a list is older than what was known');
    }
    if (this.#everListed) return;
    this.#everListed = true;
    onListed();
  }

  #selectors(): { readonly labelSelector: string | undefined; readonly fieldSelector: string | undefined } {
    return { labelSelector: this.resource.labelSelector, fieldSelector: this.#ways.fieldSelector };
  }
}
