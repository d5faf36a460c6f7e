import type { Family } from '../model/address';

/** Something that a dry run could not find out, and what it assumes instead. */
export interface Assumption {
  /** Undefined where it is about both families. */
  readonly family?: Family;
  readonly what: string;
  /** Why it could not be found out, in the words of the tool or the kernel. */
  readonly reason: string;
}

export type OnAssumed = (assumption: Assumption) => void;
