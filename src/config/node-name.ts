import { UserError } from '../model/user-error';

/**
 * Returns the name under which the API server knows this node: the override, or else the host's name, trimmed and in lower case
 * as in kubelet and kube-proxy. Throws UserError when the name is empty.
 */
export function chooseNodeName(hostnameOverride: string, osHostname: string): string {
  const name = (hostnameOverride === '' ? osHostname : hostnameOverride).trim().toLowerCase();
  if (name === '') throw new UserError('this node has no name: set --hostname-override');
  return name;
}
