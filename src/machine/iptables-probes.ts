/** The matches that iptables mode needs of the kernel. The daemon tries them when it opens a family, and preflight tries them too. */
import { matchHairpin, packetCounters } from '../backends/iptables/render-fixed';
import type { IptablesSettings } from '../backends/iptables/settings';
import type { Family } from '../model/address';
import type { Answer } from '../model/answer';
import type { IptablesDriver } from '../xtables/driver';

/** The settings that say whether rules may use a match. */
export type MatchSetting = keyof Pick<IptablesSettings, 'hasBpf' | 'hasRecent' | 'hasSctp' | 'hasNfacct'>;

export interface Probe {
  /** The kernel module that has the match. */
  readonly module: string;
  readonly match: (family: Family) => string;
  readonly neededFor: string;
  /** What is lost where the kernel does not have it. */
  readonly without: string;
  /** warn: Services lose something. */
  readonly level: 'info' | 'warn';
  /** The setting by which rules do without the match; undefined where they cannot. */
  readonly setting: MatchSetting | undefined;
}

export const probes: readonly Probe[] = [
  {
    module: 'xt_bpf',
    match: matchHairpin,
    neededFor: 'one rule for all hairpin connections',
    without: 'there is one rule per endpoint instead',
    level: 'info',
    setting: 'hasBpf',
  },
  {
    module: 'xt_recent',
    match: () => '-m recent --update --seconds 1 --reap --name KUBE-SEP-probe',
    neededFor: 'sessionAffinity ClientIP',
    without: 'it has no effect',
    level: 'warn',
    setting: 'hasRecent',
  },
  {
    module: 'xt_sctp',
    match: () => '-p sctp -m sctp --dport 1',
    neededFor: 'SCTP ports',
    without: 'they are not served',
    level: 'warn',
    setting: 'hasSctp',
  },
  {
    module: 'xt_statistic',
    match: () => '-m statistic --mode random --probability 0.5',
    neededFor: 'Services with several endpoints',
    without: 'their rules cannot be written',
    level: 'warn',
    setting: undefined,
  },
  {
    module: 'xt_nfacct',
    // Only taken while the counter exists.
    match: () => `-m nfacct --nfacct-name ${packetCounters.droppedInvalid}`,
    neededFor: 'packet counters',
    without: 'packets dropped as INVALID are not counted',
    level: 'info',
    setting: 'hasNfacct',
  },
];

export function describeLoss({ module, neededFor, without }: Probe): string {
  return `the kernel has no ${module}, which is needed for ${neededFor}: ${without}`;
}

/** Tries all of them at once, and each by itself only where the kernel refuses that. */
export async function askProbes(
  driver: IptablesDriver,
  asked: readonly Probe[],
): Promise<ReadonlyMap<Probe, Answer<true>>> {
  const texts = asked.map(({ match }) => match(driver.family));
  // SCTP goes first: a match of ports has to follow its protocol.
  texts.sort((a, b) => Number(b.startsWith('-p')) - Number(a.startsWith('-p')));
  const together = await driver.canMatch(texts.join(' '));
  const answers = new Map<Probe, Answer<true>>();
  for (const probe of asked)
    answers.set(probe, together.kind === 'absent' ? await driver.canMatch(probe.match(driver.family)) : together);
  return answers;
}
