import type { Clock } from '../../host/clock';
import type { Logger } from '../../telemetry/log';
import type { ApiClient, KubernetesObserver } from './api-client';
import type { BackoffTiming } from './backoff';
import type { Reachability } from './reachability';

export interface ReflectorTiming {
  /** A watch asks the server to end it after a time between this and twice this. */
  readonly watchSeconds: number;
  /** A watch may be silent for as long as it was asked to last, and this much longer. */
  readonly watchMarginMs: number;
  /** How long a watch may be silent once bookmarks have been seen, which a server sends every minute. */
  readonly bookmarkSilenceMs: number;
  /** After so long a silence before the end of the initial events, the server is taken not to know WatchList. */
  readonly initialEventsSilenceMs: number;
  /** A watch that ends sooner counts as a failure. */
  readonly shortWatchMs: number;
  readonly listSilenceMs: number;
  /** Fewest bytes per second of a list, on average over each listSilenceMs. */
  readonly listRate: number;
  /** Longest time for one page of a list. */
  readonly listTotalMs: number;
  /** Lists that follow a silence are spread over this time, since all nodes notice the same silence. */
  readonly relistSpreadMs: number;
  /** A watch that has not been current for this long is logged and counted. */
  readonly staleMs: number;
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
  /** Returns a number from 0 to 1, without 1. */
  readonly random: () => number;
  /** All objects have been listed. Called once. */
  readonly onListed: () => void;
  /** The server says that it has no such resource, and none was ever listed. The server is asked again when this resolves. */
  readonly onMissing?: () => Promise<void>;
}
