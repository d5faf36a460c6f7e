/** The chains that belong to a service proxy, in any mode of vipwire or kube-proxy. They are taken over and cleaned up. */
import type { TableName } from './rules';

/** Kinds of chains that iptables mode has for each service port (SVC, SVL, EXT, FW) and, in kube-proxy, for each endpoint (SEP). */
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

/** Whether the chain belongs to iptables mode. No other mode has chains for each Service. */
export function isServiceChain(chain: string): boolean {
  return serviceChainPrefixes.some((prefix) => chain.startsWith(prefix));
}

/** The KUBE-... chain to which a rule jumps or goes. `rule` is in iptables-save's words, with or without `-A CHAIN`. */
export function targetChain(rule: string): string | undefined {
  return /(?:^| )-[jg] (KUBE-\S+)$/.exec(rule)?.[1];
}

/** The target chains of all lines, in their order. */
export function targetChains(lines: string): string[] {
  return Array.from(lines.matchAll(/(?:^| )-[jg] (KUBE-\S+)$/gm), ([, chain = '']) => chain);
}

/** In the filter table. kube-proxy and the kubelet both write it. It is never removed while there is a kubelet. */
export const sharedChain = 'KUBE-FIREWALL';
/** Up to 1.26 the kubelet fills it for whoever wants a packet dropped. So it belongs to a proxy only when nobody else jumps to it. */
export const markDropChain = 'KUBE-MARK-DROP';
/** The chains of a Service's local endpoints in kube-proxy up to 1.23. */
const formerPrefix = 'KUBE-XLB-';
/** Needed because route_localnet lets other hosts send to 127.0.0.0/8. kube-proxy and the kubelet write the same rule. */
export const blockLocalnetRule =
  '! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP';

/** A rule that is never reached. When it is gone, somebody flushed the table. */
export const canaryRule = '-m comment --comment "a table without this rule was flushed" -j RETURN';
/** Tables in which we have rules. In mangle there is only kube-proxy's canary, and that is removed. */
export const ownTables = ['nat', 'filter'] as const;

/** The chains with fixed names, of every mode. In mangle kube-proxy has its canary alone; the others there are ours. */
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
    // IPVS mode up to 1.25, under both names. The kubelet's chain KUBE-FIREWALL is in filter.
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

/** Whether the chain is ours or kube-proxy's. Such chains are rewritten or removed. */
export function isOurChain(table: TableName, chain: string): boolean {
  return (
    fixedChains[table].has(chain) || (table !== 'mangle' && (isServiceChain(chain) || chain.startsWith(formerPrefix)))
  );
}
