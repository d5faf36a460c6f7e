/** What the loop of one family is given, and what it reports. */
import type PQueue from 'p-queue';
import type { Backend } from '../backends/backend';
import type { Clock } from '../host/clock';
import type { Family } from '../model/address';
import type { ClusterState, ClusterWarning } from '../model/cluster';
import type { NodeSettings } from '../planner/plan';
import type { ScheduleSettings } from './schedule';
import type { SyncReport } from './sync-report';

/** Asked between two pieces of work: a promise gives others their turn. */
export type Pause = () => Promise<void> | undefined;

export interface ReconcilerOptions<Batch> {
  readonly family: Family;
  readonly backend: Backend<Batch>;
  readonly state: ClusterState;
  readonly settings: () => NodeSettings;
  /** The rounds of all families go through one queue: transactions that overlap make each other's tools start over. */
  readonly queue: PQueue;
  readonly clock: Clock;
  /** Asked whenever a round is planned. */
  readonly schedule: () => ScheduleSettings;
  readonly onSynced: (report: SyncReport) => void;
  readonly onFailed: (failure: SyncFailure) => void;
  /** There is something to do: an update is pending from now on. */
  readonly onQueued: () => void;
  /** A Service asks for something that this machine cannot do. */
  readonly onWarning?: (warning: ClusterWarning) => void;
  /** Sees each batch before it is written. */
  readonly onBatch?: (text: () => string) => void;
  /** Called at the start of each round for the pause to use in it. Default: timeSlices. */
  readonly pauses?: () => Pause;
  /** Batches are shown to onBatch and not written. */
  readonly dryRun?: boolean;
}

export interface SyncFailure {
  readonly family: Family;
  readonly error: unknown;
  /** It was a full round. */
  readonly full: boolean;
  /** It failed while it wrote to the kernel. */
  readonly isWrite: boolean;
  readonly durationMs: number;
  /** Rounds that failed one after the other, with this one. */
  readonly failures: number;
}
