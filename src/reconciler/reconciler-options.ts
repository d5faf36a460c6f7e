/** What the loop of a family is given, and what it tells. */
import type PQueue from 'p-queue';
import type { Backend, BatchSize } from '../backends/backend';
import type { Clock } from '../host/clock';
import type { Family } from '../model/address';
import type { ClusterState, ClusterWarning } from '../model/cluster';
import type { NodeSettings } from '../planner/plan';
import type { ScheduleSettings } from './schedule';
import type { SyncReport } from './sync-report';

export type Pause = () => Promise<void> | undefined;

export interface ReconcilerOptions<Batch> {
  readonly family: Family;
  readonly backend: Backend<Batch>;
  readonly state: ClusterState;
  readonly settings: () => NodeSettings;
  /** Rounds of all families go through one queue: transactions that overlap make each other's tools start over. */
  readonly queue: PQueue;
  readonly clock: Clock;
  readonly schedule: ScheduleSettings;
  readonly onSynced: (report: SyncReport) => void;
  readonly onFailed: (failure: SyncFailure) => void;
  /** Something is to be done: from here on an update is pending. */
  readonly onQueued: () => void;
  /** What a Service asks for and this machine cannot do. */
  readonly onWarning?: (warning: ClusterWarning) => void;
  /** Sees each batch before it is written. */
  readonly onBatch?: (text: () => string) => void;
  /** For each round anew, what it asks between two pieces of its work. Default: timeSlices. */
  readonly pauses?: () => Pause;
  /** Batches are shown to onBatch and written nowhere. */
  readonly dryRun?: boolean;
}

export interface SyncFailure {
  readonly family: Family;
  readonly error: unknown;
  readonly full: boolean;
  /** The kernel was being written to. */
  readonly isWrite: boolean;
  readonly durationMs: number;
  readonly failures: number;
}

/** What is to be written, and how much that is. */
export interface Comparison<Batch> {
  readonly batch?: Batch | undefined;
  readonly written?: BatchSize | undefined;
}

/** Why a round is more than changes: the kernel is read anew, everything is planned anew, or somebody else wrote. */
export type FullReason = 'start' | 'retry' | 'settings' | 'drift';
