/** The machine that a configuration asks for: its tools, its kernel's settings, and a backend a family. */
import type { ProxyConfiguration } from '../config/configuration';
import type { Clock } from '../host/clock';
import { PreparedCommands, type RunCommand } from '../host/command';
import type { Conntrack } from '../host/conntrack';
import { NetlinkUnavailableError } from '../host/netlink';
import { NfGeneration } from '../host/nf-generation';
import type { Machine } from './machine';
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
import { MachineFamilies, type OpenedFamily } from './machine-families';
import { chooseTables } from './tables';
import { askCanaries, canaryQuestion, tellAnswer, tellingUnread } from './told-tables';

/** Longer than a predecessor's write is waited for. */
const startLimitMs = 150_000;
/** Of the time at the most, in the long run, for reading what CNIs may have changed. */
const readShare = 0.1;

export interface MachineOptions {
  readonly iptablesVariant: IptablesVariant;
  /** IPVS mode; 0: none. */
  readonly drainLimitMs: number;
  readonly configuration: ProxyConfiguration;
  readonly questions: OpenQuestions;
  /** It can be written to. */
  readonly familyOpened: (family: Family) => void;
  /** Tells how to read what nfacct counts; undefined: nothing does in this mode. */
  readonly countPackets: (read: (() => Promise<PacketCounts | undefined>) | undefined) => void;
  readonly mode: MachineMode;
  /** Of other modes: what they left goes once the rules of every family are in force. */
  readonly leaveOthers: (options: LeaveOptions, signal: AbortSignal) => Promise<void>;
  readonly conntrack: Conntrack;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Throws UserError where the machine lacks what no Service works without, and where it does not answer. */
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

/** A tool that never answers must not leave a node without rules for ever: whoever supervises starts anew. */
async function withinStartLimit<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    const message = `the tools of this machine did not answer within ${startLimitMs / 1000} s`;
    timer = setTimeout(() => reject(new UserError(message)), startLimitMs);
  });
  return Promise.race([work, limit]).finally(() => clearTimeout(timer));
}

/** What a mode makes of the machine: its families, which may be asked for again. */
export interface OpenedMode {
  readonly openFamily: (driver: IptablesDriver) => Promise<Answer<OpenedFamily>>;
}

/** A mode, as far as opening a machine for it goes. */
export interface MachineMode extends NodePortHabits {
  /** There is more to read than iptables' tables, of which nothing tells. */
  readonly hasMoreThanTables: boolean;
  /** From one look at everything in the kernel to the next. */
  checkPeriodMs(configuration: ProxyConfiguration): number;
  /** Throws UserError where the machine lacks what no Service works without in this mode. */
  open(options: MachineOptions, shared: SharedParts): Promise<OpenedMode>;
}

/** What the parts of a machine share. */
export interface SharedParts {
  readonly run: RunCommand;
  /** Of the families that are served by now. */
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
  // First: the rules depend on conntrack.tcpBeLiberal.
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

/** What may not be there beside our rules, since both would apply. */
async function leaveOthers(
  drivers: ReadonlyMap<Family, IptablesDriver>,
  { drainLimitMs, conntrack, clock, log, questions, leaveOthers: leaveModes }: MachineOptions,
  signal: AbortSignal,
): Promise<void> {
  const limitMs = drainLimitMs === 0 ? Number.POSITIVE_INFINITY : drainLimitMs;
  const options = { families: [...drivers.keys()], limitMs, conntrack, clock, log, questions };
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

/** undefined in the legacy variant, and where there is no netlink. A generation that cannot be told just now is asked again. */
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
      log.warn({ reason: error.message }, `foreign changes of single rules are seen every ${seconds} s`);
      return undefined;
    }
  }
  return read;
}

/** Nothing is read or written: a rule set in memory. */
export const noTables: KernelTables = {
  variant: 'nft',
  save: () => Promise.reject(new Error('there are no tables')),
  restore: () => Promise.reject(new Error('there are no tables')),
  canariesStand: () => Promise.reject(new Error('there are no tables')),
};
