/** What preflight asks of the tables of iptables, in each mode that writes to them. */
import { CommandError, runCommand } from '../host/command';
import type { Family } from '../model/address';
import type { Unknown } from '../model/answer';
import { messageOf } from '../model/error-message';
import { UserError } from '../model/user-error';
import type { Logger } from '../telemetry/log';
import { createLogger } from '../telemetry/logger';
import type { IptablesDriver } from '../xtables/driver';
import type { IptablesVariant } from '../xtables/variant';
import { cannotTell, fail, type Finding, ok, warn } from './finding';
import { openTables } from './tables';
import { nftTableName } from './told-tables';

export interface TablesFound {
  readonly findings: readonly Finding[];
  /** The families that can be read. */
  readonly drivers: ReadonlyMap<Family, IptablesDriver>;
}

/** Opens the tables of iptables as the daemon does. */
export async function checkTables(wanted: IptablesVariant): Promise<TablesFound> {
  const heard: Finding[] = [];
  const log: Logger = {
    ...createLogger({ verbosity: 0, format: 'text' }, () => undefined),
    warn: (first: object | string, message?: string) => {
      const reason = typeof first === 'object' && 'reason' in first ? `: ${String(first.reason)}` : '';
      heard.push(warn('iptables', `${typeof first === 'string' ? first : (message ?? '')}${reason}`, ''));
    },
  };
  try {
    const { drivers, unread } = await openTables(wanted, log);
    heard.push(...[...unread].map(([family, why]) => explainUnread(family, why)));
    const [first] = drivers.values();
    for (const driver of drivers.values()) heard.push(...(await checkUnread(driver)));
    const variant = first?.variant ?? 'nft';
    const { stdout } = await runCommand(`iptables-${variant}`, ['--version']);
    const version = /v[\d.]+/.exec(stdout)?.[0] ?? '';
    const families = [...drivers.keys()].join(', ');
    return { findings: [ok('iptables', `${variant} ${version}: ${families}`), ...heard], drivers };
  } catch (error) {
    if (!(error instanceof UserError || error instanceof CommandError)) throw error;
    return {
      findings: [fail('iptables', error.message, 'install iptables, or run where it works')],
      drivers: new Map(),
    };
  }
}

/** Warns of rules that iptables cannot print: kube-proxy does not start beside them, while vipwire does. */
async function checkUnread(driver: IptablesDriver): Promise<Finding[]> {
  const { family, variant } = driver;
  try {
    const { unread } = await driver.save();
    return [...unread].map(([table, reason]) => {
      const name = nftTableName(family, table);
      const tool = family === 'IPv4' ? `iptables-${variant}` : `ip6tables-${variant}`;
      return warn(
        'iptables',
        `${name} has rules that iptables cannot print (${reason.replace(/\.$/, '')}): vipwire works beside them, but kube-proxy does not start there, so going back to it would fail`,
        `to see them: nft -a list table ${name}; to see what kube-proxy gets: ${tool} -t ${table} -S`,
      );
    });
  } catch (error) {
    return [fail('iptables', messageOf(error), 'to see what is there: nft list ruleset')];
  }
}

/** The daemon goes on without such a family, and tries again. */
function explainUnread(family: Family, { reason }: Unknown): Finding {
  return cannotTell(
    'iptables',
    `whether ${family} can be served: ${reason}`,
    'until it can, Services have no frontends in that family',
  );
}
