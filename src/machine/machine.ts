/** What is opened on a machine for a configuration. */
import type { Backend } from '../backends/backend';
import type { Family } from '../model/address';
import type { DriftWatch } from './drift';

/** The families that cannot be opened now, and those whose settings are assumed. Both are asked again. */
export interface LateFamilies {
  /** The families that cannot be opened now, with the reason. Their rules stay in the kernel as they are. */
  readonly unserved: ReadonlyMap<Family, string>;
  /** Nothing is left to ask. */
  readonly isSettled: boolean;
  /** Returns the backends of families that can be opened now, and those with new settings, which replace the ones before. */
  askAgain(): Promise<ReadonlyMap<Family, Backend<unknown>>>;
}

/** What one configuration writes to on this machine. */
export interface Machine {
  /** One per family that the machine has and that answered. */
  readonly backends: ReadonlyMap<Family, Backend<unknown>>;
  readonly late?: LateFamilies;
  /** Undefined in a dry run. */
  readonly drift?: DriftWatch;
  /** Called once, when the rules of every family are in force. It ends early when the signal is aborted, and never rejects. */
  readonly afterwards?: (signal: AbortSignal) => Promise<void>;
  /** Closes what was opened; the rules stay. */
  readonly close?: () => void;
}
