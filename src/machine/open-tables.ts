/** Opens a machine for a mode that writes to the tables of iptables. */
import type { Family } from '../model/address';
import type { Answer } from '../model/answer';
import type { IptablesDriver } from '../xtables/driver';
import type { KernelTables } from '../xtables/kernel-tables';
import { leftTables } from './leave-tables';
import type { OpenedFamily } from './machine-families';
import { openDrift } from './open-drift';
import type { MachineOptions, OpenedMode, SharedParts } from './open-machine';
import { chooseTables, requireSomeFamily } from './tables';
import { askCanaries, canaryQuestion, tellingUnread, watchedTables } from './told-tables';

export interface TablesMode {
  /** The mode writes more than these tables. */
  readonly hasMore: boolean;
  /**
   * Opens a family whose tables can be used. May be called again for the same family.
   * @param watched is to be called for the tables that the backend is given.
   */
  readonly openFamily: (
    driver: IptablesDriver,
    watched: (tables: KernelTables) => KernelTables,
  ) => Promise<Answer<OpenedFamily>>;
}

/** Throws UserError where no variant is installed. */
export async function openOnTables(
  { hasMore, openFamily }: TablesMode,
  options: MachineOptions,
  { run, opened }: SharedParts,
): Promise<OpenedMode> {
  const { iptablesVariant, log, questions } = options;
  const tables = await chooseTables({ run, wanted: iptablesVariant, purpose: 'writing', log, questions });
  const drivers = new Map<Family, IptablesDriver>();
  const signs = {
    hasGeneration: tables.variant === 'nft',
    lookForFlush: () => askCanaries([...drivers.values()]),
    flushQuestion: canaryQuestion,
    hasMore,
  };
  const drift = await openDrift(signs, options, opened);
  return {
    drift,
    openFamily: async (family) => {
      const driver = await tables.open(family);
      if (driver.kind !== 'found') return driver;
      const answer = await openFamily(driver.value, (of) => tellingUnread(watchedTables(drift, of), family, questions));
      if (answer.kind === 'found') drivers.set(family, driver.value);
      return answer;
    },
    requireSomeFamily,
    leftovers: ({ families }) => {
      const other = tables.variant === 'nft' ? 'legacy' : 'nft';
      return families.map((family) => leftTables(other, family, 'the other iptables variant', log));
    },
  };
}
