/** The chains that belong to a service proxy, whichever proxy and mode: what is recognised as ours, taken over and cleaned up. */
import type { TableName } from './rules';

/** Of chains that iptables mode has for each service port (SVC, SVL, EXT, FW) and, in kube-proxy, for each endpoint (SEP). */
const serviceChainKinds = ['SVC', 'SVL', 'EXT', 'FW', 'SEP'] as const;
export type ServiceChainKind = (typeof serviceChainKinds)[number];
export type ServiceChainPrefix = `KUBE-${ServiceChainKind}-`;
export const serviceChainPrefixes: readonly ServiceChainPrefix[] = serviceChainKinds.map(
  (kind) => `KUBE-${kind}-` as const,
);

export interface ServiceChainName {
  readonly kind: ServiceChainKind;
  /** 16 characters of base32. */
  readonly hash: string;
}

/** `KUBE-SVC-ERIFXISQEP7F7OF4`. Returns undefined for chains that are not named by a hash, such as `KUBE-SVC-np-4`. */
export function parseServiceChain(chain: string): ServiceChainName | undefined {
  const [, prefix = '', hash = ''] = /^KUBE-([A-Z]+)-([A-Z2-7]{16})$/.exec(chain) ?? [];
  const kind = serviceChainKinds.find((each) => each === prefix);
  return kind && { kind, hash };
}

/** Of iptables mode alone: no other mode has chains for each Service. */
export function isServiceChain(chain: string): boolean {
  return serviceChainPrefixes.some((prefix) => chain.startsWith(prefix));
}

/** The KUBE-... chain to which a rule jumps or goes; `rule` is in iptables-save's words, with or without `-A CHAIN`. */
export function targetChain(rule: string): string | undefined {
  return /(?:^| )-[jg] (KUBE-\S+)$/.exec(rule)?.[1];
}

/** Those of every line, in their order. */
export function targetChains(lines: string): string[] {
  return Array.from(lines.matchAll(/(?:^| )-[jg] (KUBE-\S+)$/gm), ([, chain = '']) => chain);
}

/** In filter; kube-proxy and the kubelet both write it; it is never removed while there is a kubelet. */
export const sharedChain = 'KUBE-FIREWALL';
/** Up to 1.26 the kubelet fills it for whoever wants a packet dropped, so it is a proxy's only where nobody else jumps to it. */
export const markDropChain = 'KUBE-MARK-DROP';
/** Of kube-proxy up to 1.23: a Service's local endpoints. */
const formerPrefix = 'KUBE-XLB-';
/** route_localnet lets other hosts send to 127.0.0.0/8. kube-proxy and the kubelet write the same rule. */
export const blockLocalnetRule =
  '! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP';

/** Never reached; where it is gone, somebody flushed the table. */
export const canaryRule = '-m comment --comment "a table without this rule was flushed" -j RETURN';
/** Tables in which we have rules; mangle has kube-proxy's canary alone, and that goes. */
export const ownTables = ['nat', 'filter'] as const;

/** In every mode. KUBE-FIREWALL is shared with the kubelet. kube-proxy has none in mangle but its canary: the others are ours. */
const fixedChains: Readonly<Record<TableName, ReadonlySet<string>>> = {
  nat: new Set([
    'KUBE-SERVICES',
    'KUBE-NODEPORTS',
    'KUBE-POSTROUTING',
    'KUBE-MARK-MASQ',
    'KUBE-PROXY-CANARY',
    // IPVS mode.
    'KUBE-NODE-PORT',
    'KUBE-LOAD-BALANCER',
    // IPVS mode up to 1.25, under both names; the kubelet's chain of that name is in filter.
    'KUBE-FIREWALL',
    'KUBE-FIRE-WALL',
    markDropChain,
    // Userspace mode, up to 1.25.
    'KUBE-PORTALS-CONTAINER',
    'KUBE-PORTALS-HOST',
    'KUBE-NODEPORT-CONTAINER',
    'KUBE-NODEPORT-HOST',
  ]),
  filter: new Set([
    'KUBE-SERVICES',
    'KUBE-EXTERNAL-SERVICES',
    'KUBE-NODEPORTS',
    'KUBE-FORWARD',
    'KUBE-PROXY-FIREWALL',
    'KUBE-PROXY-CANARY',
    // IPVS mode.
    'KUBE-NODE-PORT',
    'KUBE-SOURCE-RANGES-FIREWALL',
    'KUBE-IPVS-FILTER',
    'KUBE-IPVS-OUT-FILTER',
    // Userspace mode.
    'KUBE-NODEPORT-NON-LOCAL',
  ]),
  mangle: new Set(['KUBE-PROXY-CANARY', 'KUBE-IPVS-IN', 'KUBE-IPVS-OUT', 'KUBE-IPVS-RANGES']),
};

/** Of a table's chains those that are ours or kube-proxy's, and so are rewritten or removed. */
export function isOurChain(table: TableName, chain: string): boolean {
  return (
    fixedChains[table].has(chain) || (table !== 'mangle' && (isServiceChain(chain) || chain.startsWith(formerPrefix)))
  );
}
