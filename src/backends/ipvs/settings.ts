import type { Scheduler, SchedulerName } from '../../model/scheduler';

export interface IpvsSettings {
  /** 1 << masqueradeBit. */
  readonly masqueradeMark: number;
  /** The scheduler of Services that choose none. kube-proxy's `mh` is `mh,mh-port` here. */
  readonly scheduler: Scheduler;
  /** Whether the kernel has the scheduler. A Service that chooses one which the kernel lacks gets `scheduler`. */
  readonly hasScheduler: (name: SchedulerName) => boolean;
  /**
   * Whether the kernel's sets and the SET target support marks (`skbinfo`, `--map-mark`). Without them externalTrafficPolicy Local
   * works for clients on this node as for clients outside.
   */
  readonly hasSetMarks: boolean;
}
