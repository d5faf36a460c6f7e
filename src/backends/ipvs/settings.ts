import type { Scheduler, SchedulerName } from '../../model/scheduler';

export interface IpvsSettings {
  /** 1 << masqueradeBit. */
  readonly masqueradeMark: number;
  /** Of Services that choose none. kube-proxy's `mh` is `mh,mh-port` here. */
  readonly scheduler: Scheduler;
  /** Whether the kernel has it: a Service that chooses another gets the one of all. */
  readonly hasScheduler: (name: SchedulerName) => boolean;
  /**
   * Whether the kernel's sets and the SET target know marks (`skbinfo`, `--map-mark`). Without it clients on this node see
   * externalTrafficPolicy Local as those outside do.
   */
  readonly hasSetMarks: boolean;
}
