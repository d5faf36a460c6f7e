/** Kinds of rules that a kernel or a dump may hold, vipwire's or another proxy's, and where they differ in what packets meet. */
export interface RulesKind {
  /** The mode that wrote them. */
  readonly mode: TracedMode;
  /** A VIP is an address of the node itself, so what the node sends to a ClusterIP comes from the VIP. */
  readonly vipIsLocal: boolean;
  /** Where nobody serves, clients are refused, whatever the verdict and whoever is let in. */
  readonly refusesUnserved: boolean;
  /** A mark leads clients on the node past policy Local; kube-proxy has none in this mode, and falls back instead. */
  readonly marksPastLocal: boolean;
  /** NodePorts answer on 127.0.0.1 too. */
  readonly answersOnLoopback: boolean;
  /** An endpoint of another node that reaches itself is masqueraded as one of this node is. */
  readonly masqueradesRemoteHairpin: boolean;
  /** NodePorts answer on the node's primary addresses alone, where nothing else is configured. */
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
