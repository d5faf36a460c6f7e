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
  /** NodePorts answer only on the node's primary addresses, unless configured otherwise. */
  readonly answersOnPrimary: boolean;
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
    answersOnPrimary: false,
  },
  ipvs: {
    mode: 'ipvs',
    vipIsLocal: true,
    refusesUnserved: true,
    marksPastLocal: true,
    answersOnLoopback: false,
    masqueradesRemoteHairpin: false,
    answersOnPrimary: false,
  },
  nftables: {
    mode: 'nftables',
    vipIsLocal: false,
    refusesUnserved: false,
    marksPastLocal: false,
    answersOnLoopback: false,
    masqueradesRemoteHairpin: false,
    answersOnPrimary: true,
  },
};
