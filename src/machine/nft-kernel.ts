/** The way to nf_tables of this machine: netlink, or the tool nft where the addon cannot load. */
import { NetlinkNftKernel } from '../backends/nftables/driver';
import { NftToolKernel } from '../backends/nftables/driver-nft';
import { findMissingParts } from '../backends/nftables/driver-probe';
import type { NftKernel } from '../backends/nftables/objects';
import type { ProxyConfiguration } from '../config/configuration';
import { type Clock, systemClock } from '../host/clock';
import { type RunCommand, runCommand } from '../host/command';
import { NetlinkUnavailableError } from '../host/netlink';
import { families, type Family } from '../model/address';
import { type Answer, found, unknown } from '../model/answer';
import { messageOf } from '../model/error-message';
import { UserError } from '../model/user-error';
import type { Logger } from '../telemetry/log';
import type { OnAssumed } from './assumption';

const lacks = 'the kernel lacks';

/**
 * Opens the way to one family's table, once the kernel has shown that it takes all that the mode uses. Nothing is written for that. Returns
 * unknown where parts are missing, with their options: a module may be loaded later.
 */
export async function openNftKernel(family: Family, run: RunCommand, clock: Clock): Promise<Answer<NftKernel>> {
  const kernel = new NetlinkNftKernel(family);
  try {
    const missing = await findMissingParts(family, kernel);
    if (missing.length === 0) return found(kernel);
    const parts = missing.map(({ option, neededFor, code }) => `${option} (for ${neededFor}; ${code})`);
    kernel.close();
    return unknown(`${lacks} ${parts.join(', ')}`);
  } catch (error) {
    kernel.close();
    if (!(error instanceof NetlinkUnavailableError)) return unknown(error);
    return found(new NftToolKernel(family, run, clock));
  }
}

/** Whether it does not help to ask again: parts of the kernel or rights are missing. */
export function isHopeless(reason: string): boolean {
  return reason.startsWith(lacks) || reason.includes('EPERM');
}

/** `--init-only`: lets the kernel load what it needs. Throws UserError where it lacks something in every family. */
export async function prepareNfTables(_: ProxyConfiguration, log: Logger): Promise<void> {
  const reasons: string[] = [];
  for (const family of families) {
    const opened = await openNftKernel(family, runCommand, systemClock);
    if (opened.kind === 'found') opened.value.close();
    else if (opened.kind === 'unknown') reasons.push(`${family}: ${opened.reason}`);
  }
  if (reasons.length === families.length) throw new UserError(`nftables mode cannot work here: ${reasons.join('; ')}`);
  for (const reason of reasons) log.warn({ reason }, 'a family cannot be served');
}

const refuse = (): Promise<never> => Promise.reject(new Error('a dry run writes nothing'));

/** For rules that are only rendered. */
export const noKernel: NftKernel = {
  canRead: true,
  read: () => Promise.resolve(undefined),
  readObjects: () => Promise.resolve(undefined),
  write: refuse,
  close: () => undefined,
};

/** Reads this machine, and writes nothing. What cannot be read is reported to `assume`, and taken for empty. */
export function dryKernel(family: Family, assume: OnAssumed): NftKernel {
  const kernel = new NetlinkNftKernel(family);
  return {
    ...noKernel,
    read: async (reader) => {
      try {
        return await kernel.read(reader);
      } catch (error) {
        reader.restart();
        const what = "this machine's rules cannot be read: compared with none, so what is there already is printed too";
        assume({ family, what, reason: messageOf(error) });
        return undefined;
      }
    },
    close: () => kernel.close(),
  };
}
