/** The modes of vipwire. The first one is the default. src/modes defines what each of them is. */
export const proxyModes = ['iptables', 'ipvs', 'nftables'] as const;
export type ProxyMode = (typeof proxyModes)[number];
