/** Checks whether the API server permits what a service proxy needs. */
import type { ApiClient } from './api-client';
import { fieldsOf } from './decode-fields';

export interface Permission {
  /** '' is the core group. */
  readonly group: string;
  readonly resource: string;
  readonly verb: string;
}

function permissions(group: string, resource: string, ...verbs: readonly string[]): Permission[] {
  return verbs.map((verb) => ({ group, resource, verb }));
}

/** No Service works without these. */
export const neededPermissions: readonly Permission[] = [
  ...permissions('', 'services', 'list', 'watch'),
  ...permissions('discovery.k8s.io', 'endpointslices', 'list', 'watch'),
];

/** For this node's own Node object: its zone, addresses and podCIDRs. */
export const nodePermissions: readonly Permission[] = permissions('', 'nodes', 'list', 'watch');

/** In modes that read ServiceCIDRs. */
export const serviceCIDRPermissions: readonly Permission[] = permissions(
  'networking.k8s.io',
  'servicecidrs',
  'list',
  'watch',
);

export const eventPermissions: readonly Permission[] = permissions('events.k8s.io', 'events', 'create', 'patch');

/** Prints a permission: `list services`, `create events.k8s.io/events`. */
export function printPermission({ group, resource, verb }: Permission): string {
  return `${verb} ${group === '' ? '' : `${group}/`}${resource}`;
}

/**
 * Asks the API server about this client's own rights (authorization.k8s.io/v1, which every client may do). Throws like ApiClient, and
 * when the answer says neither yes nor no.
 */
export async function isAllowed(
  client: Pick<ApiClient, 'post'>,
  { group, resource, verb }: Permission,
  signal: AbortSignal,
): Promise<boolean> {
  const review = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes: { group, resource, verb } },
  };
  const answer = await client.post('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', review, signal);
  const { allowed } = fieldsOf(fieldsOf(answer).status);
  if (typeof allowed !== 'boolean') throw new Error('the answer is not a SelfSubjectAccessReview');
  return allowed;
}
