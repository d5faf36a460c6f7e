import type { Scheduler, SchedulerName } from '../../model/scheduler';

export interface IpvsSettings {
  /** 1 << masqueradeBit. */
  readonly masqueradeMark: number;
  /** Of Services that choose none. kube-proxy's `mh` is `mh,mh-port` here. */
  readonly scheduler: Scheduler;
  /** Whether the kernel has it: a Service that chooses another gets the one of all. */
  readonly hasScheduler: (name: SchedulerName) => boolean;
  /**
   * This node's addresses of the family: of all interfaces but kube-ipvs0, without loopback and IPv6 link-local ones. Asked when
   * all is rendered from nothing; where they change, that is to be done.
   */
  readonly nodeAddresses: () => readonly string[];
  /**
   * Whether the kernel's sets and the SET target know marks (`skbinfo`, `--map-mark`). Without it clients on this node see
   * externalTrafficPolicy Local as those outside do.
   */
  readonly hasSetMarks: boolean;
}
