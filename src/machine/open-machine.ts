/** Opens the machine for a configuration: the tools, the kernel's settings, and one backend per IP family. */
import type { ProxyConfiguration } from '../config/configuration';
import type { Clock } from '../host/clock';
import { PreparedCommands, type RunCommand } from '../host/command';
import type { Conntrack } from '../host/conntrack';
import type { Family } from '../model/address';
import type { Answer } from '../model/answer';
import { UserError } from '../model/user-error';
import type { Logger } from '../telemetry/log';
import type { PacketCounts } from '../telemetry/metrics';
import type { OpenQuestions } from '../telemetry/open-questions';
import type { KernelTables } from '../xtables/kernel-tables';
import type { IptablesVariant } from '../xtables/variant';
import type { DriftWatch } from './drift';
import type { Closable } from './ipvs-machine';
import { type NodePortHabits, setUpKernel } from './kernel-settings';
import { leave, type LeaveOptions, type Leftovers } from './leave';
import type { Machine } from './machine';
import { MachineFamilies, type OpenedFamily } from './machine-families';

/** Longer than the wait for the write of an earlier process. */
const startLimitMs = 150_000;

export interface MachineOptions {
  readonly iptablesVariant: IptablesVariant;
  /** --ipvs-drain-limit, for IPVS mode; 0: no limit. */
  readonly drainLimitMs: number;
  readonly configuration: ProxyConfiguration;
  readonly questions: OpenQuestions;
  /** Called for each family that can be written to. */
  readonly familyOpened: (family: Family) => void;
  /** Is given the way to read the packet counters, or undefined where the mode has no counters. */
  readonly countPackets: (read: (() => Promise<PacketCounts | undefined>) | undefined) => void;
  readonly mode: MachineMode;
  /** What other modes left. Asked for when the rules of every family are in force. */
  readonly leftByOthers: (options: LeaveOptions) => readonly Leftovers[];
  readonly conntrack: Conntrack;
  readonly clock: Clock;
  readonly log: Logger;
}

/** --ipvs-drain-limit, where 0 says that there is no limit. */
export function drainLimitOf({ drainLimitMs }: Pick<MachineOptions, 'drainLimitMs'>): number {
  return drainLimitMs === 0 ? Number.POSITIVE_INFINITY : drainLimitMs;
}

/** Throws UserError where the machine lacks something that every Service needs, and where it does not answer. */
export async function openMachine(options: MachineOptions): Promise<Machine> {
  const opened: Closable[] = [];
  const close = (): void => {
    for (const each of opened) each.close();
  };
  try {
    return { ...(await withinStartLimit(openParts(options, opened))), close };
  } catch (error) {
    close();
    throw error;
  }
}

/** A tool that never answers must not leave a node without rules for ever: the process ends, and its supervisor starts it again. */
async function withinStartLimit<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    const message = `the tools of this machine did not answer within ${startLimitMs / 1000} s`;
    timer = setTimeout(() => reject(new UserError(message)), startLimitMs);
  });
  return Promise.race([work, limit]).finally(() => clearTimeout(timer));
}

/** A mode on this machine. */
export interface OpenedMode {
  /** May be called again for the same family. Its answer is absent where this machine does not have the family. */
  readonly openFamily: (family: Family) => Promise<Answer<OpenedFamily>>;
  /** Throws UserError where asking again would not help in any family. */
  readonly requireSomeFamily: (answers: ReadonlyMap<Family, Answer<unknown>>) => void;
  /** It learns of every read and write of the backends. */
  readonly drift: DriftWatch;
  /** What proxies left in this mode's place that the backends do not write to. */
  readonly leftovers: (options: LeaveOptions) => readonly Leftovers[];
}

/** The part of a mode that opening a machine needs. */
export interface MachineMode extends NodePortHabits {
  /** Milliseconds between two reads of everything in the kernel. */
  checkPeriodMs(configuration: ProxyConfiguration): number;
  /**
   * Opens what both families need. The kernel's settings are written after it, and then the families are opened. Throws UserError where
   * the machine lacks something that every Service needs in this mode.
   */
  open(options: MachineOptions, shared: SharedParts): Promise<OpenedMode>;
}

/** What the parts of a machine share. */
export interface SharedParts {
  readonly run: RunCommand;
  /** To be closed with the machine. */
  readonly opened: Closable[];
}

async function openParts(options: MachineOptions, opened: Closable[]): Promise<Machine> {
  const { configuration, questions, mode, log } = options;
  const prepared = new PreparedCommands();
  opened.push(prepared);
  const { openFamily, requireSomeFamily, drift, leftovers } = await mode.open(options, { run: prepared.run, opened });
  // Before the families are opened: their rules depend on conntrack.tcpBeLiberal.
  await setUpKernel(configuration, mode, log);
  const served = new Set<Family>();
  const openOne = async (family: Family): Promise<Answer<OpenedFamily>> => {
    const answer = await openFamily(family);
    if (answer.kind === 'found') {
      served.add(family);
      options.familyOpened(family);
    }
    return answer;
  };
  const late = new MachineFamilies(openOne, requireSomeFamily, questions);
  const backends = await late.openAll();
  log.info({ families: [...backends.keys()] }, 'families are served');
  const afterwards = (signal: AbortSignal): Promise<void> => leaveOthers([...served], leftovers, options, signal);
  return { backends, drift, late, afterwards };
}

/** Removes what must not be there beside our rules, since both apply. */
async function leaveOthers(
  families: readonly Family[],
  leftovers: OpenedMode['leftovers'],
  { conntrack, clock, log, questions, leftByOthers, ...rest }: MachineOptions,
  signal: AbortSignal,
): Promise<void> {
  const options = { families, limitMs: drainLimitOf(rest), conntrack, clock, log, questions };
  await leave([...leftovers(options), ...leftByOthers(options)], options, signal);
}

/** For rules that are only rendered: it can neither be read nor written. */
export const noTables: KernelTables = {
  variant: 'nft',
  save: () => Promise.reject(new Error('there are no tables')),
  restore: () => Promise.reject(new Error('there are no tables')),
  canariesStand: () => Promise.reject(new Error('there are no tables')),
};
