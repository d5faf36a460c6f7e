/** The daemon's report about itself, for /vipwire/status, `vipwire status`, the status page and /readyz. Times are ISO 8601. */
import type { Family } from '../model/address';

export interface DaemonStatus {
  readonly version: string;
  readonly node: string;
  readonly mode: string;
  /** When this report was made. */
  readonly now: string;
  /** When the process started. */
  readonly started: string;
  /** Whether /livez answers 200. */
  readonly healthy: boolean;
  /** Whether load balancers may send new connections to this node. */
  readonly nodeEligible: boolean;
  /** Why the rules for the present state of the cluster are not in force. Empty when they are. */
  readonly notReady: readonly string[];
  readonly families: Readonly<Partial<Record<Family, FamilyStatus>>>;
  readonly watches: Readonly<Record<string, WatchStatus>>;
  readonly api: ApiStatus;
  readonly drift: { readonly repairs: number; readonly last?: string };
  /** Questions to the machine or the API server that have no answer at the moment and are asked again. */
  readonly unanswered: readonly UnansweredStatus[];
  /** The newest first. */
  readonly errors: readonly { readonly at: string; readonly message: string }[];
  /** The newest first, without the warnings about what is known to be corrected. */
  readonly warnings: readonly WarningStatus[];
  readonly memory: { readonly residentBytes: number; readonly heapBytes: number };
}

export interface FamilyStatus {
  readonly state: 'waiting' | 'in force' | 'behind' | 'failing';
  readonly services: number;
  readonly endpoints: number;
  /** The number of rules in force per table, or per what a mode has instead of tables. */
  readonly rules: Readonly<Record<string, number>>;
  readonly lastSync?: { readonly at: string; readonly ms: number; readonly rules: number; readonly bytes: number };
  /** Something has been waiting to be written since then. */
  readonly pendingSince?: string;
  /** How many rounds have failed in a row. */
  readonly failures: number;
  readonly lastError?: string;
  /** The last hour in steps of ten seconds, without the steps that had no sync: start, syncs, mean and longest time of each. */
  readonly history: readonly (readonly [at: number, syncs: number, meanMs: number, maxMs: number])[];
}

export interface WatchStatus {
  readonly watching: boolean;
  /** Since when it has been watching, or has not been. */
  readonly since: string;
  /** Set when the watch has not been current for a minute or more. Changes since then are not seen, and the rules stay. */
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
  /** How many requests in a row had no answer or were refused. */
  readonly failures: number;
  /** How the last of them ended. */
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
