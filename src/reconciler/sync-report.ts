import type { BatchSize } from '../backends/backend';
import type { Family } from '../model/address';
import type { ServiceKey } from '../model/cluster';
import type { ServicePlan } from '../planner/plan';

/** What one round did. */
export interface SyncReport {
  readonly family: Family;
  /** Everything was planned or compared anew, not only what changed. */
  readonly full: boolean;
  /** Why, for a full round: `start`, `retry`, `settings`, `drift`. */
  readonly reason: string;
  /** Services whose plan changed: what they were at the last successful round, and what they are. */
  readonly before: ReadonlyMap<ServiceKey, ServicePlan | undefined>;
  readonly after: ReadonlyMap<ServiceKey, ServicePlan | undefined>;
  /** Of the changes that this round brought into force: when they were made, milliseconds since the epoch. */
  readonly triggerTimesMs: readonly number[];
  /** undefined where the kernel already held what it should. */
  readonly written: BatchSize | undefined;
  /** Planning, rendering, diffing. */
  readonly ownMs: number;
  /** Reading from and writing to the kernel. */
  readonly kernelMs: number;
  /** A full comparison found something that nobody here wrote. */
  readonly drifted: boolean;
}
