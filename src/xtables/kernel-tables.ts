import type { Answer } from '../model/answer';
import type { SavedTables } from './parse-save';
import type { Variant } from './variant';

/** The machine's iptables: a driver, or memory alone in a dry run. */
export interface KernelTables {
  readonly variant: Variant;
  /** Throws when the tables cannot be read. */
  save(): Promise<SavedTables>;
  /** One call of iptables-restore --noflush. Of each table's part the kernel takes all or nothing. */
  restore(input: string): Promise<void>;
  /** Cheap. Returns found when no table was flushed, absent when one was. */
  canariesStand(): Promise<Answer<true>>;
}
