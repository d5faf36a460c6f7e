/** Opens the machine for a configuration: the tools, the kernel's settings, and one backend per IP family. */
import type { ProxyConfiguration } from '../config/configuration';
import type { Clock } from '../host/clock';
import { PreparedCommands, type RunCommand } from '../host/command';
import type { Conntrack } from '../host/conntrack';
import { NetlinkUnavailableError } from '../host/netlink';
import { NfGeneration } from '../host/nf-generation';
import type { Family } from '../model/address';
import { type Answer, unknown } from '../model/answer';
import { UserError } from '../model/user-error';
import type { Logger } from '../telemetry/log';
import type { PacketCounts } from '../telemetry/metrics';
import type { OpenQuestions } from '../telemetry/open-questions';
import { DriftWatch } from '../xtables/drift';
import type { IptablesDriver } from '../xtables/driver';
import type { KernelTables } from '../xtables/kernel-tables';
import type { IptablesVariant, Variant } from '../xtables/variant';
import type { Closable } from './ipvs-machine';
import { type NodePortHabits, setUpKernel } from './kernel-settings';
import type { LeaveOptions } from './leave';
import { leaveNftTables } from './leave-nftables';
import { leaveOtherVariant } from './leave-other-variant';
import type { Machine } from './machine';
import { MachineFamilies, type OpenedFamily } from './machine-families';
import { chooseTables } from './tables';
import { askCanaries, canaryQuestion, tellAnswer, tellingUnread } from './told-tables';

/** Longer than the wait for the write of an earlier process. */
const startLimitMs = 150_000;
/** The largest part of the time, in the long run, that is spent on reading what CNIs may have changed. */
const readShare = 0.1;

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
  /** Removes what other modes left. Called when the rules of every family are in force. */
  readonly leaveOthers: (options: LeaveOptions, signal: AbortSignal) => Promise<void>;
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

export interface OpenedMode {
  /** May be called again for the same family. */
  readonly openFamily: (driver: IptablesDriver) => Promise<Answer<OpenedFamily>>;
}

/** The part of a mode that opening a machine needs. */
export interface MachineMode extends NodePortHabits {
  /** The mode writes more than tables of iptables. Nothing reports changes of the rest, so it has to be read. */
  readonly hasMoreThanTables: boolean;
  /** Milliseconds between two reads of everything in the kernel. */
  checkPeriodMs(configuration: ProxyConfiguration): number;
  /** Throws UserError where the machine lacks something that every Service needs in this mode. */
  open(options: MachineOptions, shared: SharedParts): Promise<OpenedMode>;
}

/** What the parts of a machine share. */
export interface SharedParts {
  readonly run: RunCommand;
  /** The families that are served by now. */
  readonly drivers: Map<Family, IptablesDriver>;
  readonly watched: (tables: KernelTables, family: Family) => KernelTables;
  readonly opened: Closable[];
}

async function openParts(options: MachineOptions, opened: Closable[]): Promise<Machine> {
  const { iptablesVariant, configuration, questions, mode, log } = options;
  const prepared = new PreparedCommands();
  opened.push(prepared);
  const { run } = prepared;
  const tables = await chooseTables({ run, wanted: iptablesVariant, purpose: 'writing', log, questions });
  // Before the families are opened: their rules depend on conntrack.tcpBeLiberal.
  await setUpKernel(configuration, mode, log);
  const drivers = new Map<Family, IptablesDriver>();
  const drift = await watchDrift(tables.variant, drivers, options, opened);
  const watched: SharedParts['watched'] = (of, family) => tellingUnread(drift.watched(of), family, questions);
  const shared: SharedParts = { run, drivers, opened, watched };
  const { openFamily } = await mode.open(options, shared);
  const late = new MachineFamilies(async (family) => {
    const driver = await tables.open(family);
    if (driver.kind !== 'found') return driver;
    const answer = await openFamily(driver.value);
    if (answer.kind !== 'found') return answer;
    drivers.set(family, driver.value);
    options.familyOpened(family);
    return answer;
  }, questions);
  const backends = await late.openAll();
  log.info({ variant: tables.variant, families: [...backends.keys()] }, 'families are served');
  return { backends, drift, late, afterwards: (signal) => leaveOthers(drivers, options, signal) };
}

/** Removes what must not be there beside our rules, since both apply. */
async function leaveOthers(
  drivers: ReadonlyMap<Family, IptablesDriver>,
  { conntrack, clock, log, questions, leaveOthers: leaveModes, ...rest }: MachineOptions,
  signal: AbortSignal,
): Promise<void> {
  const options = { families: [...drivers.keys()], limitMs: drainLimitOf(rest), conntrack, clock, log, questions };
  await Promise.all([
    leaveOtherVariant(drivers, options, signal),
    leaveNftTables(options, signal),
    leaveModes(options, signal),
  ]);
}

async function watchDrift(
  variant: Variant,
  drivers: ReadonlyMap<Family, IptablesDriver>,
  { configuration, mode, clock, log, questions }: MachineOptions,
  opened: Closable[],
): Promise<DriftWatch> {
  const fullCheckMs = mode.checkPeriodMs(configuration);
  const readGeneration = await openGeneration(variant, { fullCheckMs, log, questions }, opened);
  return new DriftWatch({
    clock,
    ...(readGeneration && { readGeneration }),
    canariesStand: () => askCanaries([...drivers.values()]),
    onCanaries: (answer) => tellAnswer(questions, canaryQuestion, answer),
    fullCheckMs,
    hasMore: mode.hasMoreThanTables,
    readShare,
  });
}

/**
 * Returns undefined in the legacy variant, and where the netlink addon does not load. After any other failure the generation is
 * asked for again.
 */
async function openGeneration(
  variant: Variant,
  { fullCheckMs, log, questions }: Pick<MachineOptions, 'log' | 'questions'> & { readonly fullCheckMs: number },
  opened: Closable[],
): Promise<(() => Promise<number>) | undefined> {
  if (variant !== 'nft') return undefined;
  const generation = new NfGeneration();
  opened.push(generation);
  const question = "which generation nf_tables' rules have";
  const read = async (): Promise<number> => {
    try {
      const now = await generation.readGeneration();
      questions.answered(question);
      return now;
    } catch (error) {
      questions.unanswered(question, unknown(error));
      throw error;
    }
  };
  try {
    await generation.readGeneration();
  } catch (error) {
    if (error instanceof NetlinkUnavailableError) {
      const seconds = fullCheckMs / 1000;
      log.warn(
        { reason: error.message },
        `changes that other programs make to single rules are only looked for every ${seconds} s`,
      );
      return undefined;
    }
  }
  return read;
}

/** For rules that are only rendered: it can neither be read nor written. */
export const noTables: KernelTables = {
  variant: 'nft',
  save: () => Promise.reject(new Error('there are no tables')),
  restore: () => Promise.reject(new Error('there are no tables')),
  canariesStand: () => Promise.reject(new Error('there are no tables')),
};
