/** Query parameters of the API's list and watch: https://kubernetes.io/docs/reference/using-api/api-concepts/ */

export type Query = Readonly<Record<string, string>>;

export interface Selectors {
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

function selectorsQuery({ labelSelector, fieldSelector }: Selectors): Query {
  return {
    ...(labelSelector === undefined ? {} : { labelSelector }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
  };
}

/** initial: WatchList, the objects there are as events first. An empty version is the latest there is. */
export function watchQuery(selectors: Selectors, resourceVersion: string, initial: boolean, seconds: number): Query {
  return {
    ...selectorsQuery(selectors),
    watch: 'true',
    allowWatchBookmarks: 'true',
    timeoutSeconds: String(seconds),
    ...(resourceVersion === '' ? {} : { resourceVersion }),
    ...(initial ? { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' } : {}),
  };
}

/** A page, or all at once without a limit. An empty version is the latest there is, at the cost of a read from etcd. */
export function listQuery(selectors: Selectors, resourceVersion: string, continueToken: string, limit?: number): Query {
  return {
    ...selectorsQuery(selectors),
    ...(limit === undefined ? {} : { limit: String(limit) }),
    // The token holds the version: the API refuses both together.
    ...(continueToken === ''
      ? resourceVersion === ''
        ? {}
        : { resourceVersion, resourceVersionMatch: 'NotOlderThan' }
      : { continue: continueToken }),
  };
}
