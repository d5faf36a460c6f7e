/**
 * Names in the table kube-proxy. Base chains have kube-proxy's names, or its hooks would stay beside ours when the other takes the table
 * over. Everything else has a prefix of ours and no `/`: kube-proxy takes chains with a `/` for its own Services'.
 */
const prefix = 'vipwire-';

/** Sets and maps. */
export const setNames = {
  clusterIPs: `${prefix}cluster-ips`,
  nodePortIPs: `${prefix}node-port-ips`,
  /** VIP, protocol, port -> what becomes of a new connection. */
  vips: `${prefix}vips`,
  nodePorts: `${prefix}node-ports`,
  /** What no endpoint serves. */
  refusedVips: `${prefix}refused-vips`,
  refusedNodePorts: `${prefix}refused-node-ports`,
  /** VIPs with source ranges. */
  restrictedVips: `${prefix}restricted-vips`,
  /** Endpoints by VIP, protocol, port and number. */
  endpoints: `${prefix}endpoints`,
  /** Endpoints on this node, of those ports that need both lists. */
  localEndpoints: `${prefix}local-endpoints`,
  nodePortEndpoints: `${prefix}node-port-endpoints`,
  localNodePortEndpoints: `${prefix}local-node-port-endpoints`,
  /** Pairs of equal addresses: a pod on this node that reached itself. */
  hairpin: `${prefix}hairpin`,
} as const;

export type SetName = (typeof setNames)[keyof typeof setNames];

export const refuseChain = `${prefix}refuse`;

/** Of one Service's VIP: which sources may connect. */
export function rangesChain(hash: string): string {
  return `${prefix}ranges-${hash}`;
}
