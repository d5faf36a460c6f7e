/** What is opened on a machine for a configuration. */
import type { Backend } from '../backends/backend';
import type { Family } from '../model/address';
import type { DriftWatch } from '../xtables/drift';

/** Families of which something cannot be told just now, and is asked again. */
export interface LateFamilies {
  /** Families that cannot be opened just now: why. Their rules stay in the kernel as they are. */
  readonly unserved: ReadonlyMap<Family, string>;
  /** There is nothing left to ask. */
  readonly isSettled: boolean;
  /** Those that can be opened by now, and others with new settings, which replace those before. */
  askAgain(): Promise<ReadonlyMap<Family, Backend<unknown>>>;
}

/** What is on this machine to write to. */
export interface Machine {
  /** Of the families that it has and that answered. */
  readonly backends: ReadonlyMap<Family, Backend<unknown>>;
  readonly late?: LateFamilies;
  /** Not in a dry run. */
  readonly drift?: DriftWatch;
  /** Called once, when the rules of every family are in force. It ends early when the signal is aborted, and never rejects. */
  readonly afterwards?: (signal: AbortSignal) => Promise<void>;
  /** Ends what was opened; the rules stay. */
  readonly close?: () => void;
}
