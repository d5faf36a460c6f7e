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

/**
 * @param resourceVersion '' means the latest version.
 * @param initial asks for a WatchList: the existing objects come first, as events.
 */
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

/**
 * @param resourceVersion '' means the latest version, which costs a read from etcd.
 * @param limit the size of a page. Without it the whole list comes at once.
 */
export function listQuery(selectors: Selectors, resourceVersion: string, continueToken: string, limit?: number): Query {
  return {
    ...selectorsQuery(selectors),
    ...(limit === undefined ? {} : { limit: String(limit) }),
    // The token contains the version, and the API refuses both together.
    ...(continueToken === ''
      ? resourceVersion === ''
        ? {}
        : { resourceVersion, resourceVersionMatch: 'NotOlderThan' }
      : { continue: continueToken }),
  };
}
