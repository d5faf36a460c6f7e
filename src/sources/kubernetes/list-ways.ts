import { ApiError } from './api-client';
import type { Resource } from './resources';

/** What a server was found not to know is tried again after this long: it may have been another server's answer, or a mood. */
const forgetMs = 3_600_000;
const failuresOfOneWay = 2;

/** The server no longer has this resource version, or does not have it yet. */
export function isUnservedVersion(error: Error): boolean {
  return (
    error instanceof ApiError &&
    (error.status === 410 || (error.status === 504 && /too large resource version/i.test(error.message)))
  );
}

/** How everything there is is asked for: by WatchList or in pages, from which version, with which selector. */
export class ListWays {
  /** The server could not serve the version that was asked for: the latest state there is will do. */
  latestOnly = false;
  /** A continue token expired: everything at once. */
  unpaged = false;
  #watchListFromMs = -Infinity;
  #fieldSelectorFromMs = -Infinity;
  #failures = 0;

  constructor(
    private readonly resource: Resource,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  /** A way that keeps failing makes room for the other, in turn. */
  get byWatchList(): boolean {
    return this.nowMs() >= this.#watchListFromMs && Math.floor(this.#failures / failuresOfOneWay) % 2 === 0;
  }

  get fieldSelector(): string | undefined {
    return this.nowMs() >= this.#fieldSelectorFromMs ? this.resource.fieldSelector : undefined;
  }

  /** @param isRefusal false: it may just have been slow. */
  leaveWatchList(isRefusal: boolean): void {
    if (isRefusal) this.#watchListFromMs = this.nowMs() + forgetMs;
    else this.#failures = failuresOfOneWay;
  }

  /** Whether a list that failed so may be asked for in another way, at once. */
  adapt(failure: Error): boolean {
    if (!(failure instanceof ApiError)) return false;
    if (isUnservedVersion(failure)) {
      if (this.latestOnly) return false;
      this.latestOnly = true;
      return true;
    }
    // 422: the feature is off. 400 and 405: servers, and what stands in front of them, that never heard of it.
    if (this.byWatchList && [400, 405, 422].includes(failure.status)) {
      this.leaveWatchList(true);
      return true;
    }
    const mayLeaveField = this.resource.worksWithoutFieldSelector === true && this.fieldSelector !== undefined;
    if (failure.status !== 400 || !mayLeaveField) return false;
    this.#fieldSelectorFromMs = this.nowMs() + forgetMs;
    this.#watchListFromMs = -Infinity;
    return true;
  }

  failed(): void {
    this.#failures++;
  }

  succeeded(): void {
    this.latestOnly = false;
    this.unpaged = false;
    this.#failures = 0;
  }
}
