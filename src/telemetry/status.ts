/** What the daemon tells about itself: /vipwire/status, `vipwire status`, the page and /readyz. Times are ISO 8601. */
import type { Family } from '../model/address';

export interface DaemonStatus {
  readonly version: string;
  readonly node: string;
  readonly mode: string;
  /** When this was told, and when the process started. */
  readonly now: string;
  readonly started: string;
  /** Whether /livez is 200, and whether load balancers may send here. */
  readonly healthy: boolean;
  readonly nodeEligible: boolean;
  /** Why the rules for the present cluster are not in force; empty: they are. */
  readonly notReady: readonly string[];
  readonly families: Readonly<Partial<Record<Family, FamilyStatus>>>;
  readonly watches: Readonly<Record<string, WatchStatus>>;
  readonly api: ApiStatus;
  readonly drift: { readonly repairs: number; readonly last?: string };
  /** What the machine or the API server cannot be asked just now, and is asked again. */
  readonly unanswered: readonly UnansweredStatus[];
  /** The newest first. */
  readonly errors: readonly { readonly at: string; readonly message: string }[];
  /** By object, the newest first; what is known to be put right is gone. */
  readonly warnings: readonly WarningStatus[];
  readonly memory: { readonly residentBytes: number; readonly heapBytes: number };
}

export interface FamilyStatus {
  readonly state: 'waiting' | 'in force' | 'behind' | 'failing';
  readonly services: number;
  readonly endpoints: number;
  /** In force, by table (or what a mode has in the place of tables). */
  readonly rules: Readonly<Record<string, number>>;
  readonly lastSync?: { readonly at: string; readonly ms: number; readonly rules: number; readonly bytes: number };
  /** Something has been waiting to be written since then. */
  readonly pendingSince?: string;
  /** Rounds that failed one after the other. */
  readonly failures: number;
  readonly lastError?: string;
  /** The last hour in steps of ten seconds, those without a sync left out: their start, syncs, mean and longest time. */
  readonly history: readonly (readonly [at: number, syncs: number, meanMs: number, maxMs: number])[];
}

export interface WatchStatus {
  readonly watching: boolean;
  /** Of being so. */
  readonly since: string;
  /** It has not been current for a minute and more: since then, what changes is not seen. The rules stay. */
  readonly staleSince?: string;
  readonly restarts: number;
  readonly relists: number;
  /** Why the last watch ended. */
  readonly lastEnd?: string;
}

export interface ApiStatus {
  /** host:port; '' without an API server. */
  readonly host: string;
  readonly lastAnswer?: string;
  /** Requests without an answer, or refused, one after the other; and how the last ended. */
  readonly failures: number;
  readonly lastFailure?: string;
}

export interface UnansweredStatus {
  readonly question: string;
  readonly reason: string;
  readonly since: string;
  readonly times: number;
}

export interface WarningStatus {
  readonly object: string;
  readonly kind: string;
  readonly message: string;
  readonly at: string;
}
