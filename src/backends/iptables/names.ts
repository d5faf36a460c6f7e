/**
 * Chain names. Those that operators know stay kube-proxy's, hashes included. Every other chain of ours has one of the prefixes
 * that kube-proxy collects in nat, so that a rollback leaves nothing that holds on to a chain that it wants to delete.
 */
import { hash } from 'node:crypto';
import { joinHostPort } from '../../model/address';
import { protocolName } from '../../model/protocol';
import { type PlanEndpoint, type ServicePortPlan, servicePortName } from '../../planner/plan';

/** The kernel's limit (XT_EXTENSION_MAXNAMELEN less the final NUL). */
export const maxChainName = 28;

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** The first 16 characters of the base32 of a SHA-256: 80 bits. */
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

/** An endpoint's xt_recent list is named as kube-proxy names its chain, so that a takeover keeps clients' affinity. */
export function affinityListName(identity: string, endpoint: PlanEndpoint): string {
  return `KUBE-SEP-${hash16(identity + joinHostPort(endpoint.address, endpoint.port))}`;
}
