/** Removes what a proxy left in tables of iptables that our mode does not write to, since the rules of both apply. */
import { CommandError, runCommand } from '../host/command';
import { readTextFile } from '../host/files';
import { lockFileOf, waitForLock, withoutLock } from '../host/lock';
import { NetlinkError } from '../host/netlink';
import { NfTables } from '../host/nf-tables';
import type { Family } from '../model/address';
import { errorCode } from '../model/error-message';
import type { Logger } from '../telemetry/log';
import { nameSome } from '../telemetry/name-some';
import { cleanUp } from '../xtables/cleanup';
import { IptablesDriver, readSaveText } from '../xtables/driver';
import { isOurChain } from '../xtables/known-chains';
import { parseSave } from '../xtables/parse-save';
import { tableNames } from '../xtables/rules';
import type { SaveText } from '../xtables/save-text';
import { toolName } from '../xtables/tool-names';
import type { Variant } from '../xtables/variant';
import { findKubeProxy, type Leftovers } from './leave';
import { lockWaitMs } from './tables';
import { nftTableName } from './told-tables';

/** Files that list the legacy tables which the kernel has loaded. A legacy tool that asks for another table loads it. */
const loadedTables: Readonly<Record<Family, string>> = {
  IPv4: '/proc/net/ip_tables_names',
  IPv6: '/proc/net/ip6_tables_names',
};

/** Reading a legacy table takes the tools' lock, and most reasons to keep the rules do not change by themselves. */
const pauseMs = 300_000;

/**
 * For a family that we serve. A warning names the command that removes the rules which stay.
 * @param place where the rules are, as the log names it.
 */
export function leftTables(variant: Variant, family: Family, place: string, log: Logger): Leftovers {
  const command = `vipwire cleanup --iptables-variant=${variant}`;
  let said = '';
  const look = async (): Promise<boolean> => {
    const why = await leaveFamily(variant, family, place, log);
    if (why !== '' && why !== said) log.warn({ variant, family, why, command }, `rules in ${place} stay`);
    said = why;
    return why === '';
  };
  return { question: `what ${place} has of ${family}`, pauseMs, look };
}

/** Returns why rules stay, or '' where no rule stays. */
async function leaveFamily(variant: Variant, family: Family, place: string, log: Logger): Promise<string> {
  if (variant === 'legacy' && !(await hasLoadedTables(family))) return '';
  const save = await readSave(variant, family);
  if (save === undefined) return explainWithoutTool(variant, family);
  const { text, unread } = save;
  const [cannotTell] = unread;
  if (cannotTell !== undefined) return `table ${cannotTell.table} cannot be read in full: ${cannotTell.reason}`;
  const { chains, jumps } = parseSave(text);
  if (jumps.length + tableNames.reduce((sum, table) => sum + chains[table].size, 0) === 0) return '';
  const user = findUser(text) || (await findKubeProxy());
  if (user !== '') return user;
  // A tool that a killed process of ours left may still be writing.
  const lock = await waitForLock(runCommand, lockFileOf(`${variant}-${family}`), lockWaitMs);
  if (lock.kind === 'held') return 'another vipwire writes to them';
  const report = await cleanUp(new IptablesDriver(family, variant, runCommand, withoutLock), family);
  if (report.chains + report.jumps > 0)
    log.info(
      { variant, family, chains: report.chains, jumps: report.jumps },
      `removed what a proxy had left in ${place}`,
    );
  return report.left.length > 0 ? `still there after it was removed: ${nameSome(report.left)}` : '';
}

/** Returns undefined where the variant is not installed. */
async function readSave(variant: Variant, family: Family): Promise<SaveText | undefined> {
  try {
    return await readSaveText(runCommand, variant, family);
  } catch (error) {
    if (error instanceof CommandError && error.notFound) return undefined;
    throw error;
  }
}

/** Returns why rules stay where no tool can remove them, or '' where there are none. Throws where it cannot be told. */
export async function explainWithoutTool(variant: Variant, family: Family): Promise<string> {
  const missing = `${toolName('iptables-save', variant, family)} is not there`;
  if (variant === 'legacy' && !(await hasLoadedTables(family))) return '';
  if (variant === 'legacy') throw new Error(`${missing}, and the kernel has tables that it would show`);
  const nfTables = new NfTables(family);
  try {
    for (const name of tableNames) {
      const { chains = [] } = (await nfTables.readTable(name, () => undefined)) ?? {};
      if (chains.some((chain) => isOurChain(name, chain.name)))
        return `${nftTableName(family, name)} has some, and ${missing}`;
    }
    return '';
  } catch (error) {
    // The kernel has no nf_tables.
    if (error instanceof NetlinkError && error.code === 'EINVAL') return '';
    throw error;
  } finally {
    nfTables.close();
  }
}

function hasLoadedTables(family: Family): Promise<boolean> {
  return readTextFile(loadedTables[family]).then(
    (names) => names.trim() !== '',
    (error: unknown) => {
      if (errorCode(error) === 'ENOENT') return false;
      throw error;
    },
  );
}

/** Where a policy of that variant is DROP, the proxy's rules may be what lets Services through. */
function findUser(saved: string): string {
  const [, chain] = /^:(INPUT|FORWARD|OUTPUT) DROP /m.exec(filterPart(saved)) ?? [];
  return chain === undefined ? '' : `the policy of its ${chain} chain is DROP, and these rules let Services through`;
}

function filterPart(saved: string): string {
  return /^\*filter$([\s\S]*?)^COMMIT$/m.exec(saved)?.[1] ?? '';
}
