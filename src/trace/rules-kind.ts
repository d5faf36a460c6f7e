/** The kinds of rules that a kernel or a dump may hold, vipwire's or another proxy's, and how they treat packets differently. */
export interface RulesKind {
  /** The mode that wrote the rules. */
  readonly mode: TracedMode;
  /** VIPs are addresses of the node itself, so packets of the node to a ClusterIP have the VIP as their source. */
  readonly vipIsLocal: boolean;
  /** Clients of a frontend without endpoints are refused, whatever its verdict and its source ranges are. */
  readonly refusesUnserved: boolean;
  /** A mark leads clients on the node past policy Local. kube-proxy has no such mark in this mode and falls back instead. */
  readonly marksPastLocal: boolean;
  /** NodePorts also answer on 127.0.0.1. */
  readonly answersOnLoopback: boolean;
  /** An endpoint on another node that reaches itself is masqueraded, as one on this node is. */
  readonly masqueradesRemoteHairpin: boolean;
  /** How far an endpoint's share may be off if weights or a hash of the client decide: 0 to 1. */
  readonly shareTolerance: number;
}

export type TracedMode = 'iptables' | 'ipvs' | 'nftables';

export const rulesKinds: Readonly<Record<TracedMode, RulesKind>> = {
  iptables: {
    mode: 'iptables',
    vipIsLocal: false,
    refusesUnserved: false,
    marksPastLocal: false,
    answersOnLoopback: true,
    masqueradesRemoteHairpin: true,
    shareTolerance: 0,
  },
  ipvs: {
    mode: 'ipvs',
    vipIsLocal: true,
    refusesUnserved: true,
    marksPastLocal: true,
    answersOnLoopback: false,
    masqueradesRemoteHairpin: false,
    shareTolerance: 0,
  },
  nftables: {
    mode: 'nftables',
    vipIsLocal: false,
    refusesUnserved: false,
    marksPastLocal: false,
    answersOnLoopback: true,
    masqueradesRemoteHairpin: false,
    shareTolerance: 0.01,
  },
};

/** What differs where kube-proxy wrote the table of nftables mode. */
const kubeProxyNftables: RulesKind = { ...rulesKinds.nftables, answersOnLoopback: false, shareTolerance: 0 };

/** Every set of ours begins with this, and none of kube-proxy's. */
const ourPrefix = 'vipwire-';

/** @param setNames the names of the table's sets and maps. */
export function kindOfNftTable(setNames: Iterable<string>): RulesKind {
  for (const name of setNames) if (name.startsWith(ourPrefix)) return rulesKinds.nftables;
  return kubeProxyNftables;
}
