import { absent, type Answer, found, unknown } from '../../model/answer';
import { type ApiClient, ApiError } from './api-client';
import { fieldsOf, listOf } from './decode-fields';

function versionsOf(groups: unknown): unknown[] {
  return listOf(groups).flatMap((group) =>
    listOf(fieldsOf(group).versions).map((version) => fieldsOf(version).groupVersion),
  );
}

/** Asks whether the API server lists `group/version` among what it serves (https://kubernetes.io/docs/concepts/overview/kubernetes-api/). */
export async function askGroupVersion(
  client: Pick<ApiClient, 'json'>,
  groupVersion: string,
  signal: AbortSignal,
): Promise<Answer<true>> {
  try {
    const answer = fieldsOf(await client.json('/apis', signal));
    if (answer.kind !== 'APIGroupList' || !Array.isArray(answer.groups)) return unknown('/apis is not an APIGroupList');
    return versionsOf(answer.groups).includes(groupVersion) ? found(true) : absent;
  } catch (error) {
    // A server without /apis has no groups at all.
    return error instanceof ApiError && error.status === 404 ? absent : unknown(error);
  }
}
