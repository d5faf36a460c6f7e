import { type HttpResponse, HttpSilenceError } from '../../host/http';
import { ApiError } from './api-client';
import { LatestVersion } from './latest-version';
import { listPages } from './list-pages';
import { isUnservedVersion, ListWays } from './list-ways';
import type { ObjectFeed } from './object-feed';
import { type Selectors, watchQuery } from './queries';
import { readWatch } from './read-answers';
import { initialEventsLimits, listLimits, watchLimits } from './read-limits';
import type { ReflectorOptions } from './reflector-options';
import type { Resource } from './resources';
import { ResumeFailures } from './resume-failures';
import { RetryWaits } from './retry-waits';
import { WatchCurrency } from './watch-currency';
import { causeOf, EndedWatch, endOf, endReason, WentBackError } from './watch-end';
import type { WatchEvent } from './watch-event';

/** Why everything there is is asked for; 'start': nothing was ever listed. */
type ListReason = 'start' | 'expired' | 'failing' | 'silent' | 'older';

/** The life of a reflector: it lists, follows what changes for as long as that works, and lists again. */
type Phase =
  /** Asks for everything there is: in pages, or by a watch that begins with it (WatchList). */
  | { readonly name: 'listing'; readonly reason: ListReason }
  /** Follows what has changed since a list; `isResumed`: by a watch that begins where another one broke off. */
  | { readonly name: 'watching'; readonly listedMs: number; readonly isResumed: boolean };

type Watching = Extract<Phase, { name: 'watching' }>;
type GoodEvent = Exclude<WatchEvent, { kind: 'error' }>;

/** A watch that was resumed after failures is believed after so long, or at its first event. */
const believedAfterMs = 5000;

function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/**
 * Keeps a feed in step with one resource of the API server, by client-go's rules: first everything there is, by WatchList or by
 * a list in pages where the server does not know WatchList; then a watch, resumed where it broke off, until resuming fails.
 */
export class Reflector {
  readonly #resource: Resource;
  readonly #feed: ObjectFeed;
  readonly #options: ReflectorOptions;
  readonly #stop = new AbortController();
  readonly #waits: RetryWaits;
  readonly #ways: ListWays;
  readonly #failures: ResumeFailures;
  readonly #currency: WatchCurrency;
  readonly #version = new LatestVersion();
  #done: Promise<void> = Promise.resolve();
  #phase: Phase = { name: 'listing', reason: 'start' };
  /** The server sends bookmarks: from then on a silent watch is noticed sooner. */
  #sawBookmark = false;

  constructor(resource: Resource, feed: ObjectFeed, options: ReflectorOptions) {
    this.#resource = resource;
    this.#feed = feed;
    this.#options = options;
    const { timing, clock, log, observer } = options;
    this.#waits = new RetryWaits(resource.name, options, this.#stop.signal);
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

  /** Another resource serves instead of this one: nobody misses this one for now. */
  isReplaced(): void {
    this.#currency.stop();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const phase = this.#phase;
      const inPages = phase.name === 'listing' && !this.#ways.byWatchList;
      const failure = await (inPages ? this.#list(phase.reason) : this.#watch()).then(() => undefined, errorOf);
      if (failure !== undefined && !this.#stop.signal.aborted) await this.#after(failure);
    }
  }

  async #after(failure: Error): Promise<void> {
    const phase = this.#phase;
    if (phase.name === 'listing') await this.#afterList(phase.reason, failure);
    else await this.#afterWatch(phase, failure);
  }

  async #afterList(reason: ListReason, failure: Error): Promise<void> {
    const { onMissing } = this.#options;
    const isMissing = reason === 'start' && failure instanceof ApiError && failure.status === 404;
    if (isMissing && onMissing !== undefined) {
      await onMissing();
      await this.#waits.forResource();
    } else if (!this.#ways.adapt(failure)) await this.#listLater(failure);
  }

  async #listLater(failure: Error): Promise<void> {
    this.#ways.failed();
    await this.#complainAndWait(failure);
  }

  /** A watch ended or could not be opened, or the list before it turned out to be older than what was known. */
  async #afterWatch(watching: Watching, failure: Error): Promise<void> {
    const cause = failure instanceof EndedWatch ? failure.failure : failure;
    if (cause instanceof WentBackError) {
      this.#phase = { name: 'listing', reason: 'older' };
      this.#ways.askForLatest();
    } else if (cause !== undefined && isUnservedVersion(cause)) {
      this.#phase = { name: 'listing', reason: 'expired' };
      // A server that refuses the version of its own list, which it has just sent, is not asked in a loop.
      const isJustListed = performance.now() - watching.listedMs < this.#options.timing.shortWatchMs;
      if (isJustListed) await this.#listLater(failure);
    } else await this.#nextWatch(watching, failure);
  }

  async #nextWatch(watching: Watching, failure: Error): Promise<void> {
    const { reachability, clock, timing, random } = this.#options;
    const { name } = this.#resource;
    const end = endOf(failure, watching.isResumed);
    const failedBefore = this.#failures.inARow;
    const next = this.#failures.next(end);
    if (next === 'list apart') {
      this.#phase = { name: 'listing', reason: 'silent' };
      const what = 'the watch is silent, also after it was resumed; listing anew within a minute';
      reachability.say('warn', name, failure.message, what);
      await clock.sleep(random() * timing.relistSpreadMs, this.#stop.signal);
      return;
    }
    if (next === 'list') {
      this.#phase = { name: 'listing', reason: 'failing' };
      reachability.say('warn', name, failure.message, 'the watch fails whenever it is resumed; listing anew');
      // The first time at once; where lists do not help either, less and less often.
      if (failedBefore > 1) await this.#waits.quietly(failure);
      return;
    }
    this.#phase = { ...watching, isResumed: true };
    if (!(failure instanceof EndedWatch)) await this.#complainAndWait(failure);
    else if (next === 'wait') {
      if (end.cause === 'bad') reachability.say('info', name, failure.message, 'the watch failed; resuming it');
      await this.#waits.quietly(failure);
    } else this.#options.log.debug({ resource: name, reason: failure.message }, 'the watch ended; resuming it');
  }

  async #complainAndWait(failure: Error): Promise<void> {
    this.#currency.lost(failure.message);
    await this.#waits.loudly(failure);
  }

  /** What there is, when a list is needed, and then what changes. Throws EndedWatch when a watch that was open has ended. */
  async #watch(): Promise<void> {
    const { client, observer, reachability, timing, random, log } = this.#options;
    const { name, path } = this.#resource;
    const begun = this.#phase;
    const seconds = Math.round(timing.watchSeconds * (1 + random()));
    const version = this.#ways.versionFor(this.#version.value);
    const query = watchQuery(this.#selectors(), version, begun.name === 'listing', seconds);
    const response = await client.get(path, query, this.#stop.signal);
    const openedMs = performance.now();
    if (begun.name === 'watching') reachability.succeeded(name);
    observer?.watchStarted(name);
    const believing = new AbortController();
    if (begun.name === 'watching') this.#believe(begun, believing.signal);
    const { events, failure } = await this.#follow(response, begun, seconds);
    believing.abort();
    response.close();
    this.#feed.flush();
    if (this.#stop.signal.aborted) return;
    observer?.watchEnded(name, endReason(failure));
    this.#currency.lost(failure?.message ?? 'ended by the server');
    const ended = this.#phase;
    if (ended.name === 'watching') {
      const openMs = performance.now() - openedMs;
      throw new EndedWatch({ cause: causeOf(failure), resumed: ended.isResumed, openMs, events }, failure);
    }
    // Nothing came, or no bookmark after the objects: a server that ignores what it does not know.
    if (!(failure instanceof HttpSilenceError))
      throw failure ?? new Error('the watch ended before all objects had come');
    log.debug({ resource: name }, 'the API server does not know WatchList');
    this.#ways.leaveWatchList();
  }

  /** A watch that follows a list is current at once; one that follows failures is current once it has stayed open. */
  #believe({ isResumed }: Watching, ended: AbortSignal): void {
    if (!isResumed || this.#failures.inARow === 0) {
      this.#currency.current();
      return;
    }
    void this.#options.clock.sleep(believedAfterMs, ended).then(() => {
      if (!ended.aborted) this.#currency.current();
    });
  }

  /** Until the watch ends: how many events came, and why it ended; undefined: in good order. */
  async #follow(
    response: HttpResponse,
    begun: Phase,
    seconds: number,
  ): Promise<{ readonly events: number; readonly failure: Error | undefined }> {
    const { timing } = this.#options;
    if (begun.name === 'listing') this.#feed.beginList();
    const limits =
      begun.name === 'listing' ? initialEventsLimits(timing) : watchLimits(timing, seconds, this.#sawBookmark);
    let events = 0;
    const reading = readWatch(response, this.#resource.kind, limits, (event) => {
      events++;
      const { name } = this.#phase;
      const hadSeen = this.#sawBookmark;
      this.#take(event);
      if (this.#phase.name !== name || this.#sawBookmark !== hadSeen)
        response.limit(watchLimits(timing, seconds, this.#sawBookmark));
    });
    const failure = await reading.then(() => undefined, errorOf);
    return { events, failure };
  }

  #take(event: GoodEvent): void {
    if (this.#phase.name === 'listing') this.#takeListed(event, this.#phase.reason);
    else this.#takeChange(event);
  }

  /** Initial events come in the order of keys: their versions say nothing about where to resume. */
  #takeListed(event: GoodEvent, reason: ListReason): void {
    if (event.kind === 'bookmark') {
      if (!event.initialEventsEnd) return;
      this.#finishList(reason, event.resourceVersion);
      this.#currency.current();
    } else if (event.kind === 'set') this.#feed.listed(event.meta, event.object);
    else this.#feed.delete(event.meta);
  }

  #takeChange(event: GoodEvent): void {
    if (event.kind === 'bookmark') {
      this.#sawBookmark = true;
      this.#version.setByBookmark(event.resourceVersion);
    } else {
      if (event.kind === 'set') this.#feed.set(event.meta, event.object);
      else this.#feed.delete(event.meta);
      this.#version.setByEvent(event.meta.resourceVersion);
    }
    this.#currency.current();
  }

  async #list(reason: ListReason): Promise<void> {
    const { client, timing } = this.#options;
    this.#feed.beginList();
    const version = await listPages({
      client,
      resource: this.#resource,
      ways: this.#ways,
      selectors: this.#selectors(),
      // The first list may be as old as the server's cache (0), later ones may not be older than what is known.
      version: this.#ways.versionFor(this.#version.value === '' ? '0' : this.#version.value),
      pageSize: timing.pageSize,
      limits: listLimits(timing),
      signal: this.#stop.signal,
      onObject: (meta, object) => this.#feed.listed(meta, object),
    });
    this.#finishList(reason, version);
  }

  #finishList(reason: ListReason, resourceVersion: string): void {
    const { observer, reachability, onListed } = this.#options;
    this.#feed.endList();
    observer?.relisted(this.#resource.name, reason);
    reachability.succeeded(this.#resource.name);
    const wentBack = this.#version.setByList(resourceVersion);
    this.#phase = { name: 'watching', listedMs: performance.now(), isResumed: false };
    this.#ways.succeeded();
    if (wentBack) {
      this.#feed.distrust();
      throw new WentBackError('a list is older than what was known');
    }
    if (reason === 'start') onListed();
  }

  #selectors(): Selectors {
    return { labelSelector: this.#resource.labelSelector, fieldSelector: this.#ways.fieldSelector };
  }
}
