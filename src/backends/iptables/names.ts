/**
 * Chain names. The chains that operators know have kube-proxy's names, hashes included. Every other chain of ours has one of the
 * prefixes that kube-proxy cleans up in nat. So after a rollback no chain is left that jumps to one which kube-proxy wants to delete.
 */
import { hash } from 'node:crypto';
import { joinHostPort } from '../../model/address';
import { protocolName } from '../../model/protocol';
import { type PlanEndpoint, type ServicePortPlan, servicePortName } from '../../planner/plan';

/** The kernel's limit: XT_EXTENSION_MAXNAMELEN without the final NUL. */
export const maxChainName = 28;

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** The first 16 characters (80 bits) of a SHA-256 in base32. */
export function hash16(text: string): string {
  const bytes = hash('sha256', text, 'buffer');
  let out = '';
  for (let i = 0; i < 16; i++) {
    const bit = i * 5;
    const pair = ((bytes[bit >> 3] ?? 0) << 8) | (bytes[(bit >> 3) + 1] ?? 0);
    out += alphabet.charAt((pair >> (11 - (bit & 7))) & 31);
  }
  return out;
}

/** What kube-proxy hashes for a service port: `ns/name:portprotocol`. */
export function servicePortIdentity(port: ServicePortPlan): string {
  return servicePortName(port) + protocolName(port.protocol);
}

/** An endpoint's xt_recent list has the name of kube-proxy's chain for the endpoint, so that a takeover keeps clients' affinity. */
export function affinityListName(identity: string, endpoint: PlanEndpoint): string {
  return `KUBE-SEP-${hash16(identity + joinHostPort(endpoint.address, endpoint.port))}`;
}
