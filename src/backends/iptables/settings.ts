export interface IptablesSettings {
  /** 1 << masqueradeBit. */
  readonly masqueradeMark: number;
  /** True when nf_conntrack_tcp_be_liberal is off. INVALID packets would be answered with a reset, so they are dropped. */
  readonly dropInvalid: boolean;
  /** Whether the kernel has xt_bpf. One such rule finds the hairpin packets of all endpoints. Without it each endpoint needs a rule. */
  readonly hasBpf: boolean;
  /** Whether the kernel has xt_recent, which remembers clients. Without it there is no session affinity. */
  readonly hasRecent: boolean;
  /** Whether the kernel has xt_sctp. Without it SCTP ports are left out, and all others work. */
  readonly hasSctp: boolean;
  /** Whether the `packetCounters` exist and the kernel has xt_nfacct, which counts into them. */
  readonly hasNfacct: boolean;
}
