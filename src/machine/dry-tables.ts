/** The tables of iptables that a dry run reads, in each mode that writes to them. */
import { type Family, families } from '../model/address';
import { absent } from '../model/answer';
import { UserError } from '../model/user-error';
import type { KernelTables } from '../xtables/kernel-tables';
import { noRules } from '../xtables/parse-save';
import type { DryRunRequest } from './assumption';
import { openTables } from './tables';

/** The kernel's tables where they can be read, else empty ones. */
export async function openForReading({
  iptablesVariant: wanted,
  log,
  assume,
}: DryRunRequest): Promise<ReadonlyMap<Family, KernelTables>> {
  try {
    const { drivers, unread } = await openTables(wanted, log);
    for (const [family, { reason }] of unread)
      assume({ family, what: 'the rules cannot be read: this family is left out', reason });
    return drivers;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const what = "this machine's rules cannot be read: compared with none, so what is there already is printed too";
    assume({ what, reason: error.message });
    const none: KernelTables = {
      variant: wanted === 'legacy' ? 'legacy' : 'nft',
      save: () => Promise.resolve(noRules()),
      restore: () => Promise.reject(new Error('a dry run writes nothing')),
      canariesStand: () => Promise.resolve(absent),
    };
    return new Map(families.map((family) => [family, none]));
  }
}
