/**
 * Names in the table kube-proxy. Base chains have kube-proxy's names: otherwise both sets of hooks would be active after kube-proxy took the
 * table over. Everything else has a prefix of ours and no `/`, because kube-proxy takes chains with a `/` for its own.
 */
import { hash } from 'node:crypto';

export const prefix = 'vipwire-';

/** Base chains, under kube-proxy's names. */
export const baseChains = {
  preroutingFilter: 'filter-prerouting-pre-dnat',
  outputPreDnatFilter: 'filter-output-pre-dnat',
  inputFilter: 'filter-input',
  forwardFilter: 'filter-forward',
  outputFilter: 'filter-output',
  preroutingNat: 'nat-prerouting',
  outputNat: 'nat-output',
  postroutingNat: 'nat-postrouting',
} as const;

/** Sets and maps. */
export const setNames = {
  /** Every ClusterIP of a Service that is proxied. */
  clusterIPs: `${prefix}cluster-ips`,
  /** The addresses on which NodePorts answer, unless all addresses of this node do. */
  nodePortIPs: `${prefix}node-port-ips`,
  /** VIP, protocol, port -> the chain that picks an endpoint. */
  vips: `${prefix}vips`,
  nodePorts: `${prefix}node-ports`,
  /** What no endpoint serves: rejected or dropped. */
  refusedVips: `${prefix}refused-vips`,
  refusedNodePorts: `${prefix}refused-node-ports`,
  /** VIPs with source ranges -> the chain that drops all other sources. */
  restrictedVips: `${prefix}restricted-vips`,
  /** VIP, protocol, port, slot -> endpoint. */
  endpoints: `${prefix}endpoints`,
  /** The same with the endpoints on this node, for VIPs that need both lists. */
  localEndpoints: `${prefix}local-endpoints`,
  nodePortEndpoints: `${prefix}node-port-endpoints`,
  localNodePortEndpoints: `${prefix}local-node-port-endpoints`,
  /** Pairs of equal addresses: an endpoint on this node that connected to itself. */
  hairpin: `${prefix}hairpin`,
} as const;

export type SetName = (typeof setNames)[keyof typeof setNames];

/** Rejects. A map cannot do that itself. */
export const refuseChain = `${prefix}refuse`;

/** A frontend's key as a part of a chain's name: `10.96.0.10-tcp-80`, `fd00..a-tcp-80`. */
export function keyInName(key: string): string {
  return key.replaceAll(' . ', '-').replaceAll(':', '.');
}

/**
 * The chain that decides which sources may connect to a VIP. Its name has a hash of the ranges: with other ranges it is another chain. So
 * the element that leads to it changes the ranges and the endpoints at once, also when another Service gets the VIP.
 */
export function rangesChain(key: string, ranges: readonly string[]): string {
  return `${prefix}ranges-${keyInName(key)}_${hash('sha256', ranges.join()).slice(0, 8)}`;
}

const rangesPattern = new RegExp(`^${prefix}ranges-(.+)_[\\da-f]{8}(?:-\\d+)?$`);

/** The frontend's key as keyInName prints it, of a name of rangesChain or a chain in which that goes on. Undefined for other chains. */
export function readRangesChain(chain: string): string | undefined {
  return rangesPattern.exec(chain)?.[1];
}

/** Chains that are there whatever the Services are. */
export const fixedChains: ReadonlySet<string> = new Set([refuseChain, ...Object.values(baseChains)]);
