import { ApiError } from './api-client';
import type { Resource } from './resources';

/** What a server was found not to know is tried again after this long: another server may have answered, or it has changed since. */
const forgetMs = 3_600_000;
const failuresOfOneWay = 2;

/** The server no longer has this resource version, or does not have it yet. */
export function isUnservedVersion(error: Error): boolean {
  return (
    error instanceof ApiError &&
    (error.status === 410 || (error.status === 504 && /too large resource version/i.test(error.message)))
  );
}

/** Whether the server is asked for something that not every server knows. */
type Knowledge = { readonly name: 'assumed' } | { readonly name: 'refused'; readonly untilMs: number };

/** The two ways take turns while lists fail. */
interface Turn {
  readonly way: 'WatchList' | 'pages';
  /** Lists that failed in this turn. */
  readonly failures: number;
}

/** How everything there is is asked for: by WatchList or in pages, from which version, with which selector. */
export class ListWays {
  readonly #resource: Resource;
  readonly #nowMs: () => number;
  #watchList: Knowledge = { name: 'assumed' };
  #fieldSelector: Knowledge = { name: 'assumed' };
  #turn: Turn = { way: 'WatchList', failures: 0 };
  /** 'latest': the server could not serve the version that was asked for. */
  #version: 'known' | 'latest' = 'known';
  /** 'whole': a continue token expired. */
  #size: 'pages' | 'whole' = 'pages';

  constructor(resource: Resource, nowMs: () => number = () => performance.now()) {
    this.#resource = resource;
    this.#nowMs = nowMs;
  }

  /** Everything is asked for by WatchList, not in pages. */
  get byWatchList(): boolean {
    return this.#isAsked(this.#watchList) && this.#turn.way === 'WatchList';
  }

  /** A list is asked for in pages, not as a whole. */
  get isPaged(): boolean {
    return this.#size === 'pages';
  }

  get fieldSelector(): string | undefined {
    return this.#isAsked(this.#fieldSelector) ? this.#resource.fieldSelector : undefined;
  }

  /** Returns the version to ask for: this one, or '' for the latest there is. */
  versionFor(known: string): string {
    return this.#version === 'latest' ? '' : known;
  }

  /** The server did not refuse WatchList, but may have been slow. */
  leaveWatchList(): void {
    this.#turn = { way: 'pages', failures: 0 };
  }

  /** Until a list succeeds. */
  leavePages(): void {
    this.#size = 'whole';
  }

  /** Until a list succeeds. */
  askForLatest(): void {
    this.#version = 'latest';
  }

  /** Returns whether a list that failed so may be asked for in another way, at once. */
  adapt(failure: Error): boolean {
    if (!(failure instanceof ApiError)) return false;
    if (isUnservedVersion(failure)) {
      if (this.#version === 'latest') return false;
      this.#version = 'latest';
      return true;
    }
    // 422: the feature is off. 400 and 405: servers, and what stands in front of them, that never heard of it.
    if (this.byWatchList && [400, 405, 422].includes(failure.status)) {
      this.#watchList = this.#refused();
      return true;
    }
    const mayLeaveField = this.#resource.worksWithoutFieldSelector === true && this.fieldSelector !== undefined;
    if (failure.status !== 400 || !mayLeaveField) return false;
    this.#fieldSelector = this.#refused();
    // It may have been the selector that was refused before.
    this.#watchList = { name: 'assumed' };
    return true;
  }

  /** A list failed: a way that keeps failing makes room for the other one. */
  failed(): void {
    const { way } = this.#turn;
    const failures = this.#turn.failures + 1;
    const isOver = failures === failuresOfOneWay;
    this.#turn = isOver ? { way: way === 'pages' ? 'WatchList' : 'pages', failures: 0 } : { way, failures };
  }

  succeeded(): void {
    this.#version = 'known';
    this.#size = 'pages';
    this.#turn = { way: 'WatchList', failures: 0 };
  }

  #isAsked(knowledge: Knowledge): boolean {
    return knowledge.name === 'assumed' || this.#nowMs() >= knowledge.untilMs;
  }

  #refused(): Knowledge {
    return { name: 'refused', untilMs: this.#nowMs() + forgetMs };
  }
}
