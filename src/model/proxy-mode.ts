/** The modes that vipwire has; the first is the default. src/modes says what each of them is. */
export const proxyModes = ['iptables', 'ipvs'] as const;
export type ProxyMode = (typeof proxyModes)[number];
