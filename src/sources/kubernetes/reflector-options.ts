import type { Clock } from '../../host/clock';
import type { Logger } from '../../telemetry/log';
import type { ApiClient, KubernetesObserver } from './api-client';
import type { BackoffTiming } from './backoff';
import type { Reachability } from './reachability';

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
  /** Fewest bytes per second of a list, on average over each listSilenceMs, and longest time for a page of it. */
  readonly listRate: number;
  readonly listTotalMs: number;
  /** Lists that silence leads to are spread over this time, since all nodes hear the same silence. */
  readonly relistSpreadMs: number;
  /** A watch that has not been current for this long is said and counted. */
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
  /** In [0, 1). */
  readonly random: () => number;
  /** All objects have been named once. Called once. */
  readonly onListed: () => void;
  /** The server says that it has no such resource, and no list has shown one yet. It is asked again when this resolves. */
  readonly onMissing?: () => Promise<void>;
}
