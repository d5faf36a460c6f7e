export interface IptablesSettings {
  /** 1 << masqueradeBit. */
  readonly masqueradeMark: number;
  /** nf_conntrack_tcp_be_liberal is off: INVALID packets would be answered with a reset, and are dropped instead. */
  readonly dropInvalid: boolean;
  /** Whether the kernel has xt_bpf, which tells hairpin packets whatever the endpoints; else there is a rule an endpoint. */
  readonly hasBpf: boolean;
  /** Whether the kernel has xt_recent, which remembers clients; without it there is no session affinity. */
  readonly hasRecent: boolean;
  /** Whether the kernel has xt_sctp; without it SCTP ports are left out, and the others work. */
  readonly hasSctp: boolean;
  /** Whether packetCounters are there and the kernel has xt_nfacct, which counts into them. */
  readonly hasNfacct: boolean;
}
