import type { ReadLimits } from '../../host/http';
import { type ApiClient, ApiError } from './api-client';
import type { ListWays } from './list-ways';
import { listQuery, type Selectors } from './queries';
import { readList } from './read-answers';
import type { Resource } from './resources';
import type { ObjectMeta } from './watch-event';

/** More pages than a cluster can have objects. */
const mostPages = 20_000;

export interface PagesOptions {
  readonly client: ApiClient;
  readonly resource: Resource;
  readonly ways: ListWays;
  readonly selectors: Selectors;
  /** '': the latest there is. */
  readonly version: string;
  readonly pageSize: number;
  readonly limits: ReadLimits;
  readonly signal: AbortSignal;
  readonly onObject: (meta: ObjectMeta, object: unknown) => void;
}

/** Reads everything there is, page by page or as a whole. Resolves with the version of the list. */
export async function listPages(options: PagesOptions): Promise<string> {
  const { client, resource, ways, selectors, version, limits, signal, onObject } = options;
  const pageSize = ways.isPaged ? options.pageSize : undefined;
  let continueToken = '';
  for (let pages = 1; ; pages++) {
    const query = listQuery(selectors, version, continueToken, pageSize);
    try {
      const response = await client.get(resource.path, query, signal);
      const page = await readList(response, resource.kind, limits, onObject);
      if (page.continueToken === '') return page.resourceVersion;
      if (pages === mostPages || page.continueToken === continueToken) throw new Error('the list has no last page');
      continueToken = page.continueToken;
    } catch (error) {
      // The token expired: pages take longer than the server keeps their version.
      if (continueToken !== '' && error instanceof ApiError && error.status === 410) ways.leavePages();
      throw error;
    }
  }
}
