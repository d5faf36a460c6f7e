/** Limits of how long and how slow an answer of the API server may be. */
import type { ReadLimits } from '../../host/http';
import type { ReflectorTiming } from './reflector-options';

/** For one page of a list. */
export function listLimits({ listSilenceMs, listRate, listTotalMs }: ReflectorTiming): ReadLimits {
  return { idleMs: listSilenceMs, leastRate: listRate, totalMs: listTotalMs };
}

/** For a WatchList until it has sent the existing objects. */
export function initialEventsLimits({ initialEventsSilenceMs, listRate, listTotalMs }: ReflectorTiming): ReadLimits {
  return { idleMs: initialEventsSilenceMs, leastRate: listRate, totalMs: listTotalMs };
}

/** For a watch that was asked to last this many seconds, while it sends changes. */
export function watchLimits(timing: ReflectorTiming, seconds: number, sawBookmark: boolean): ReadLimits {
  return { idleMs: sawBookmark ? timing.bookmarkSilenceMs : seconds * 1000 + timing.watchMarginMs };
}
