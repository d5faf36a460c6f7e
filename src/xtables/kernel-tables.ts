import type { Answer } from '../model/answer';
import type { SavedTables } from './parse-save';
import type { Variant } from './variant';

/** The machine's iptables: a driver, or nothing but memory in a dry run. */
export interface KernelTables {
  readonly variant: Variant;
  /** Throws where the tables cannot be read. */
  save(): Promise<SavedTables>;
  /** One call of iptables-restore --noflush: all of a table's part or nothing. */
  restore(input: string): Promise<void>;
  /** Cheap: found where no table was flushed, absent where one was. */
  canariesStand(): Promise<Answer<true>>;
}
