/** The API server: whether it answers, and what it lets us do. */
import { ApiError, type ApiClient } from '../../sources/kubernetes/api-client';
import {
  eventPermissions,
  isAllowed,
  neededPermissions,
  nodePermissions,
  type Permission,
  printPermission,
} from '../../sources/kubernetes/access-review';
import { fail, type Finding, ok, warn } from './report';

const patienceMs = 10_000;
const grant = 'bind the ClusterRole system:node-proxier (manifests/base/rbac.yaml)';

export async function checkApi(client: Pick<ApiClient, 'server' | 'post'>): Promise<Finding[]> {
  const signal = AbortSignal.timeout(patienceMs);
  try {
    const denied = async (wanted: readonly Permission[]): Promise<string> => {
      const answers = await Promise.all(wanted.map((permission) => isAllowed(client, permission, signal)));
      return wanted
        .filter((_, i) => answers[i] === false)
        .map(printPermission)
        .join(', ');
    };
    const [needed, ofNode, ofEvents] = await Promise.all(
      [neededPermissions, nodePermissions, eventPermissions].map(denied),
    );
    return [
      ok('API server', client.server),
      ...(needed ? [fail('permissions', `not: ${needed}`, grant)] : []),
      ...(ofNode
        ? [warn('permissions', `not: ${ofNode}; zone, addresses and podCIDRs of the node stay unknown`, grant)]
        : []),
      ...(ofEvents ? [warn('permissions', `not: ${ofEvents}; no events on the Node`, grant)] : []),
      ...(needed || ofNode || ofEvents
        ? []
        : [ok('permissions', 'list and watch Services, EndpointSlices, Nodes; write events')]),
    ];
  } catch (error) {
    const why = signal.aborted ? `no answer in ${patienceMs / 1000} s` : (error as Error).message;
    const todo =
      error instanceof ApiError && error.status === 401
        ? 'the credentials are not valid there'
        : "the API server's own address is needed: the IP of the Service kubernetes works only while a proxy runs";
    return [fail('API server', `${client.server}: ${why}`, todo)];
  }
}
