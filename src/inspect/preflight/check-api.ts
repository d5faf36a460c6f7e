/** Checks whether the API server answers, and what it allows. */
import { fail, type Finding, ok, warn } from '../../machine/finding';
import { messageOf } from '../../model/error-message';
import {
  eventPermissions,
  isAllowed,
  neededPermissions,
  nodePermissions,
  type Permission,
  printPermission,
  serviceCIDRPermissions,
} from '../../sources/kubernetes/access-review';
import { type ApiClient, ApiError } from '../../sources/kubernetes/api-client';

const patienceMs = 10_000;
const grant = 'bind the ClusterRole system:node-proxier (manifests/base/rbac.yaml)';

interface Reviewed {
  readonly permission: Permission;
  /** undefined: it could not be found out, because of `failure`. */
  readonly allowed: boolean | undefined;
  readonly failure?: { readonly error: unknown };
}

function print(reviewed: readonly Reviewed[]): string {
  return reviewed.map(({ permission }) => printPermission(permission)).join(', ');
}

export async function checkApi(
  client: Pick<ApiClient, 'server' | 'post'>,
  { readsServiceCIDRs }: { readonly readsServiceCIDRs: boolean },
): Promise<Finding[]> {
  const signal = AbortSignal.timeout(patienceMs);
  const review = (permission: Permission): Promise<Reviewed> =>
    isAllowed(client, permission, signal).then(
      (allowed) => ({ permission, allowed }),
      (error: unknown) => ({ permission, allowed: undefined, failure: { error } }),
    );
  const ofMode = readsServiceCIDRs ? serviceCIDRPermissions : [];
  const [needed = [], ofNode = [], ofEvents = [], ofCIDRs = []] = await Promise.all(
    [neededPermissions, nodePermissions, eventPermissions, ofMode].map((wanted) => Promise.all(wanted.map(review))),
  );
  const all = [...needed, ...ofNode, ...ofEvents, ...ofCIDRs];
  const open = all.filter(({ allowed }) => allowed === undefined);
  const failure = open[0]?.failure;
  if (failure !== undefined && open.length === all.length)
    return [unreached(client.server, failure.error, signal.aborted)];
  const denied = (reviewed: readonly Reviewed[]): string => print(reviewed.filter(({ allowed }) => allowed === false));
  const findings = [
    ...(denied(needed) ? [fail('permissions', `not: ${denied(needed)}`, grant)] : []),
    ...(denied(ofNode)
      ? [warn('permissions', `not: ${denied(ofNode)}; zone, addresses and podCIDRs of the node stay unknown`, grant)]
      : []),
    ...(denied(ofCIDRs)
      ? [warn('permissions', `not: ${denied(ofCIDRs)}; packets to unused addresses of Services are not dropped`, grant)]
      : []),
    ...(denied(ofEvents) ? [warn('permissions', `not: ${denied(ofEvents)}; no events on the Node`, grant)] : []),
    ...(failure === undefined
      ? []
      : [warn('permissions', `cannot tell: ${print(open)}: ${messageOf(failure.error)}`, 'run preflight again')]),
  ];
  return [
    ok('API server', client.server),
    ...(findings.length > 0
      ? findings
      : [ok('permissions', 'list and watch Services, EndpointSlices, Nodes; write events')]),
  ];
}

function unreached(server: string, error: unknown, isTooLate: boolean): Finding {
  const why = isTooLate ? `no answer in ${patienceMs / 1000} s` : messageOf(error);
  const todo =
    error instanceof ApiError && error.status === 401
      ? 'the credentials are not valid there'
      : "use the API server's own address: the IP of the Service kubernetes works only while a proxy runs";
  return fail('API server', `${server}: ${why}`, todo);
}
