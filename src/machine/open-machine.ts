/** The machine that a configuration asks for: its tools, its kernel's settings, and a backend a family. */
import { IptablesBackend } from '../backends/iptables/backend';
import type { ProxyConfiguration } from '../config/configuration';
import type { Clock } from '../host/clock';
import { PreparedCommands, type RunCommand } from '../host/command';
import type { Conntrack } from '../host/conntrack';
import { NetlinkUnavailableError } from '../host/netlink';
import { NfGeneration } from '../host/nf-generation';
import { PacketCounters } from '../host/packet-counters';
import type { Machine } from './machine';
import type { Family } from '../model/address';
import { absent, type Answer, found, type Unknown, unknown } from '../model/answer';
import { UserError } from '../model/user-error';
import type { Logger } from '../telemetry/log';
import type { PacketCounts } from '../telemetry/metrics';
import type { OpenQuestions } from '../telemetry/open-questions';
import { DriftWatch } from '../xtables/drift';
import type { IptablesDriver } from '../xtables/driver';
import type { KernelTables } from '../xtables/rules';
import type { IptablesVariant, Variant } from '../xtables/variant';
import { localSettings, probedSettings, readCounters, settingQuestions, withCounters } from './iptables-settings';
import { IpvsFamilies } from './ipvs-families';
import type { Closable } from './ipvs-machine';
import { setUpKernel } from './kernel-settings';
import type { Leaving } from './leave';
import { leaveIpvs } from './leave-ipvs';
import { leaveOtherVariant } from './leave-other-variant';
import { MachineFamilies, type OpenedFamily } from './machine-families';
import { leaveNftTables } from './leave-nftables';
import { chooseTables } from './tables';
import { askCanaries, canaryQuestion, tellAnswer, tellingUnread } from './told-tables';

const fullCheckMs = 30_000;
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

/** What a mode makes of the machine: its families, which may be asked for again, and what comes after them. */
interface OpenedMode {
  readonly openFamily: (driver: IptablesDriver) => Promise<Answer<OpenedFamily>>;
  readonly afterwards?: Machine['afterwards'];
}

/** What the parts of a machine share. */
interface SharedParts {
  readonly run: RunCommand;
  /** Of the families that are served by now. */
  readonly drivers: Map<Family, IptablesDriver>;
  readonly watched: (tables: KernelTables, family: Family) => KernelTables;
  readonly opened: Closable[];
}

async function openParts(options: MachineOptions, opened: Closable[]): Promise<Machine> {
  const { iptablesVariant, configuration, questions, log } = options;
  const prepared = new PreparedCommands();
  opened.push(prepared);
  const { run } = prepared;
  const tables = await chooseTables({ run, wanted: iptablesVariant, purpose: 'writing', log, questions });
  // First: the rules depend on conntrack.tcpBeLiberal.
  await setUpKernel(configuration, log);
  const drivers = new Map<Family, IptablesDriver>();
  const isIpvs = configuration.mode === 'ipvs';
  const checkMs = isIpvs ? configuration.syncPeriodMs : fullCheckMs;
  const drift = await watchDrift(tables.variant, drivers, { checkMs, hasMore: isIpvs }, options, opened);
  const watched: SharedParts['watched'] = (of, family) => tellingUnread(drift.watched(of), family, questions);
  const shared: SharedParts = { run, drivers, opened, watched };
  const mode = isIpvs ? await openIpvsMode(options, shared) : openIptablesMode(options, shared);
  const late = new MachineFamilies(async (family) => {
    const driver = await tables.open(family);
    if (driver.kind !== 'found') return driver;
    const answer = await mode.openFamily(driver.value);
    if (answer.kind !== 'found') return answer;
    drivers.set(family, driver.value);
    options.familyOpened(family);
    return answer;
  }, questions);
  const backends = await late.openAll();
  log.info({ variant: tables.variant, families: [...backends.keys()] }, 'families are served');
  return { backends, drift, late, ...(mode.afterwards && { afterwards: mode.afterwards }) };
}

async function openIpvsMode(
  options: MachineOptions,
  { run, drivers, watched, opened }: SharedParts,
): Promise<OpenedMode> {
  const { configuration, drainLimitMs, questions, countPackets, clock, log } = options;
  countPackets(undefined);
  const limitMs = drainLimitMs === 0 ? Number.POSITIVE_INFINITY : drainLimitMs;
  const ipvs = await IpvsFamilies.open({ run, configuration, drainLimitMs: limitMs, log, opened });
  return {
    openFamily: async (driver) => {
      const backend = await ipvs.openFamily(driver, watched);
      return backend.kind === 'found' ? found({ backend: backend.value }) : backend;
    },
    afterwards: (signal) => leaveOthers(drivers, { clock, log, questions }, signal),
  };
}

function openIptablesMode(options: MachineOptions, { drivers, watched, opened }: SharedParts): OpenedMode {
  const { drainLimitMs, configuration, questions, countPackets, conntrack, clock, log } = options;
  const counters = new PacketCounters();
  opened.push(counters);
  countPackets(() => readCounters(counters));
  const openFamily = async (driver: IptablesDriver): Promise<Answer<OpenedFamily>> => {
    const probed = await probedSettings(driver, configuration, counters, log);
    if (probed.kind !== 'found') return probed;
    const { settings, assumed } = probed.value;
    tellAssumed(assumed, questions);
    const tables = settings.hasNfacct ? withCounters(driver, counters) : driver;
    const backend = new IptablesBackend(driver.family, settings, watched(tables, driver.family));
    if (assumed.size === 0) return found({ backend });
    const askAgain = async (): Promise<Answer<OpenedFamily>> => {
      const now = await localSettings(configuration, counters);
      tellAssumed(now.assumed, questions);
      const [why] = now.assumed.values();
      if (why !== undefined) return why;
      const { dropInvalid, hasNfacct } = now.settings;
      const isSame = dropInvalid === settings.dropInvalid && hasNfacct === settings.hasNfacct;
      return isSame ? absent : openFamily(driver);
    };
    return found({ backend, askAgain });
  };
  const limitMs = drainLimitMs === 0 ? Number.POSITIVE_INFINITY : drainLimitMs;
  return {
    openFamily,
    afterwards: async (signal) => {
      const leaving = { clock, log, questions };
      await Promise.all([
        leaveOthers(drivers, leaving, signal),
        leaveIpvs({ ...leaving, families: [...drivers.keys()], limitMs, conntrack }, signal),
      ]);
    },
  };
}

/** What no mode on iptables may have beside it. */
async function leaveOthers(
  drivers: ReadonlyMap<Family, IptablesDriver>,
  leaving: Leaving,
  signal: AbortSignal,
): Promise<void> {
  await Promise.all([leaveOtherVariant(drivers, leaving, signal), leaveNftTables(leaving, signal)]);
}

function tellAssumed(assumed: ReadonlyMap<string, Unknown>, questions: OpenQuestions): void {
  for (const question of settingQuestions) {
    const why = assumed.get(question);
    if (why === undefined) questions.answered(question);
    else questions.unanswered(question, why);
  }
}

async function watchDrift(
  variant: Variant,
  drivers: ReadonlyMap<Family, IptablesDriver>,
  { checkMs, hasMore }: { readonly checkMs: number; readonly hasMore: boolean },
  { clock, log, questions }: MachineOptions,
  opened: Closable[],
): Promise<DriftWatch> {
  const readGeneration = await openGeneration(variant, log, questions, opened);
  return new DriftWatch({
    clock,
    ...(readGeneration && { readGeneration }),
    canariesStand: () => askCanaries([...drivers.values()]),
    onCanaries: (answer) => tellAnswer(questions, canaryQuestion, answer),
    fullCheckMs: checkMs,
    hasMore,
    readShare,
  });
}

/** undefined in the legacy variant, and where there is no netlink. A generation that cannot be told just now is asked again. */
async function openGeneration(
  variant: Variant,
  log: Logger,
  questions: OpenQuestions,
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
