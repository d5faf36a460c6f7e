import { UserError } from '../model/user-error';

/**
 * The name under which the API server knows this node: the override, or else the host's name; trimmed and lower-case, as
 * kubelet and kube-proxy have it. Throws UserError where nothing is left.
 */
export function chooseNodeName(hostnameOverride: string, osHostname: string): string {
  const name = (hostnameOverride === '' ? osHostname : hostnameOverride).trim().toLowerCase();
  if (name === '') throw new UserError('this node has no name: set --hostname-override');
  return name;
}
