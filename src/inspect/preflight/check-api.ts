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
import { fail, type Finding, ok, warn } from '../../machine/finding';

const patienceMs = 10_000;
const grant = 'bind the ClusterRole system:node-proxier (manifests/base/rbac.yaml)';

interface Reviewed {
  readonly permission: Permission;
  /** undefined: there is no telling, because of `error`. */
  readonly allowed: boolean | undefined;
  readonly error?: Error;
}

function print(reviewed: readonly Reviewed[]): string {
  return reviewed.map(({ permission }) => printPermission(permission)).join(', ');
}

export async function checkApi(client: Pick<ApiClient, 'server' | 'post'>): Promise<Finding[]> {
  const signal = AbortSignal.timeout(patienceMs);
  const review = (permission: Permission): Promise<Reviewed> =>
    isAllowed(client, permission, signal).then(
      (allowed) => ({ permission, allowed }),
      (error: unknown) => ({ permission, allowed: undefined, error: error as Error }),
    );
  const [needed = [], ofNode = [], ofEvents = []] = await Promise.all(
    [neededPermissions, nodePermissions, eventPermissions].map((wanted) => Promise.all(wanted.map(review))),
  );
  const all = [...needed, ...ofNode, ...ofEvents];
  const open = all.filter(({ allowed }) => allowed === undefined);
  const error = open[0]?.error;
  if (error !== undefined && open.length === all.length) return [unreached(client.server, error, signal.aborted)];
  const denied = (reviewed: readonly Reviewed[]): string => print(reviewed.filter(({ allowed }) => allowed === false));
  const findings = [
    ...(denied(needed) ? [fail('permissions', `not: ${denied(needed)}`, grant)] : []),
    ...(denied(ofNode)
      ? [warn('permissions', `not: ${denied(ofNode)}; zone, addresses and podCIDRs of the node stay unknown`, grant)]
      : []),
    ...(denied(ofEvents) ? [warn('permissions', `not: ${denied(ofEvents)}; no events on the Node`, grant)] : []),
    ...(error === undefined
      ? []
      : [warn('permissions', `cannot tell: ${print(open)}: ${error.message}`, 'run preflight again')]),
  ];
  return [
    ok('API server', client.server),
    ...(findings.length > 0
      ? findings
      : [ok('permissions', 'list and watch Services, EndpointSlices, Nodes; write events')]),
  ];
}

function unreached(server: string, error: Error, isTooLate: boolean): Finding {
  const why = isTooLate ? `no answer in ${patienceMs / 1000} s` : error.message;
  const todo =
    error instanceof ApiError && error.status === 401
      ? 'the credentials are not valid there'
      : "the API server's own address is needed: the IP of the Service kubernetes works only while a proxy runs";
  return fail('API server', `${server}: ${why}`, todo);
}
