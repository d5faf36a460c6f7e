import type { BatchSize } from '../backends/backend';
import type { Family } from '../model/address';
import type { ServiceKey } from '../model/cluster';
import type { ServicePlan } from '../planner/plan';

/** Why a round is a full one: the kernel is read anew, everything is planned anew, or somebody else changed our rules. */
export type FullReason = 'start' | 'retry' | 'settings' | 'drift';

/** What one round did. */
export interface SyncReport {
  readonly family: Family;
  /** Why it was a full round, in the order in which the reasons came. Empty: it took up only what changed. */
  readonly reasons: ReadonlySet<FullReason>;
  /** Services whose plan changed: what they were at the last successful round, and what they are. */
  readonly before: ReadonlyMap<ServiceKey, ServicePlan | undefined>;
  readonly after: ReadonlyMap<ServiceKey, ServicePlan | undefined>;
  /** When the changes were made that this round brought into force, in milliseconds since the epoch. */
  readonly triggerTimesMs: readonly number[];
  /** undefined: the kernel already held what it should. */
  readonly written: BatchSize | undefined;
  /** Time for planning, rendering and comparing. */
  readonly ownMs: number;
  /** Time for reading from the kernel and writing to it. */
  readonly kernelMs: number;
  /** A look at the kernel found something that nobody here wrote. */
  readonly drifted: boolean;
}
