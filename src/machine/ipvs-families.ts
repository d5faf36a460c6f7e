/** What IPVS mode opens for each IP family of this machine. */
import { IpvsBackend } from '../backends/ipvs/backend';
import { IpvsDevice } from '../backends/ipvs/device/driver';
import { prepareNode, thisNode } from '../backends/ipvs/driver';
import { openServers, type ServersDriver } from '../backends/ipvs/servers/driver';
import { isAboutMachine, SetDriver } from '../backends/ipvs/sets/driver';
import { setName } from '../backends/ipvs/sets/names';
import { createLine } from '../backends/ipvs/sets/ipset-text';
import type { ProxyConfiguration } from '../config/configuration';
import { CommandError, type RunCommand } from '../host/command';
import { lockConflict } from '../host/lock';
import type { Family } from '../model/address';
import { absent, type Answer, found } from '../model/answer';
import { messageOf } from '../model/error-message';
import { schedulerName, type SchedulerName, schedulerNames } from '../model/scheduler';
import { UserError } from '../model/user-error';
import type { Logger } from '../telemetry/log';
import type { IptablesDriver } from '../xtables/driver';
import type { KernelTables } from '../xtables/kernel-tables';
import { type Closable, kernelOf } from './ipvs-machine';
import { masqueradeMarkOf } from './masquerade-mark';
import { takeOver, type Writes } from './tables';

export interface IpvsFamiliesOptions {
  readonly run: RunCommand;
  readonly configuration: ProxyConfiguration;
  readonly drainLimitMs: number;
  readonly log: Logger;
  /** What is opened is added here, to be closed with the machine. */
  readonly opened: Closable[];
}

export class IpvsFamilies {
  readonly #options: IpvsFamiliesOptions;
  readonly #setWrites: Writes;
  readonly #device: IpvsDevice;
  #isPrepared = false;
  /** The same for both families. */
  #schedulers: ReadonlySet<SchedulerName> | undefined;
  #hasSetMarks: boolean | undefined;

  private constructor(options: IpvsFamiliesOptions, setWrites: Writes) {
    this.#options = options;
    this.#setWrites = setWrites;
    this.#device = new IpvsDevice(options.run);
    options.opened.push(this.#device);
  }

  static async open(options: IpvsFamiliesOptions): Promise<IpvsFamilies> {
    return new IpvsFamilies(options, await takeOver(options.run, 'ipset', options.log));
  }

  /**
   * Throws UserError, one line that says what to do, where the machine lacks something that every Service needs. May be called
   * again after an unknown answer, and after any other error.
   */
  async openFamily(
    tables: IptablesDriver,
    watched: (tables: KernelTables) => KernelTables,
  ): Promise<Answer<IpvsBackend>> {
    const { run, configuration, drainLimitMs, log, opened } = this.#options;
    const { ipvs } = configuration;
    const { family } = tables;
    // Loads ip_vs, which brings the sysctls.
    const servers = await openServers(family, run);
    try {
      if (!this.#isPrepared) await prepareNode(thisNode, { strictArp: ipvs.strictARP }, log);
      this.#isPrepared = true;
      const schedulers = (this.#schedulers ??= await findSchedulers(servers, schedulerName(ipvs.scheduler)));
      const sets = new SetDriver(family, this.#setWrites.run, this.#setWrites.withLock);
      if (this.#hasSetMarks === undefined) {
        const marks = await askSetMarks(family, sets, tables, log);
        if (marks.kind === 'unknown') {
          servers.close();
          return marks;
        }
        this.#hasSetMarks = marks.kind === 'found';
      }
      await setTimeouts(servers, ipvs, log);
      const settings = {
        masqueradeMark: masqueradeMarkOf(configuration),
        scheduler: ipvs.scheduler,
        hasScheduler: (name: SchedulerName): boolean => schedulers.has(name),
        hasSetMarks: this.#hasSetMarks,
      };
      const options = { settings, excludeCIDRs: ipvs.excludeCIDRs, drainLimitMs, now: () => performance.now() };
      const kernel = { ...kernelOf(family, servers, sets, this.#device), tables: watched(tables) };
      opened.push(servers);
      log.info({ family, scheduler: ipvs.scheduler }, 'using IPVS');
      return found(new IpvsBackend(family, options, kernel));
    } catch (error) {
      servers.close();
      throw error;
    }
  }
}

/** Throws UserError where the kernel does not have the wanted one, and other errors where that cannot be found out. */
async function findSchedulers(servers: ServersDriver, wanted: SchedulerName): Promise<ReadonlySet<SchedulerName>> {
  await servers.requireScheduler(wanted);
  const found = new Set<SchedulerName>([wanted]);
  for (const name of schedulerNames) if (name !== wanted && (await servers.hasScheduler(name))) found.add(name);
  return found;
}

/** The rule by which it is tried whether rules can match sets; preflight tries it too. */
export function ruleMatchingSet(name: string): string {
  return `-m set --match-set ${name} dst,dst -j RETURN`;
}

/**
 * Whether sets can give marks to packets. Throws UserError where the kernel has no sets, or rules cannot match them, and ipset's
 * own error where that does not answer the question.
 */
async function askSetMarks(
  family: Family,
  sets: SetDriver,
  tables: IptablesDriver,
  log: Logger,
): Promise<Answer<true>> {
  const [plain, marking] = [setName(family, 'KUBE-CLUSTER-IP'), setName(family, 'KUBE-IPVS-LOCAL')];
  const matching = ruleMatchingSet(plain);
  const giving = `-j SET --map-set ${marking} dst,dst --map-mark`;
  if (await canMakeMarking(sets, createLine(plain), createLine(marking))) {
    const marks = await tables.canTake({ nat: matching, mangle: giving });
    if (marks.kind !== 'absent') return marks;
  }
  const matches = await tables.canTake({ nat: matching });
  if (matches.kind === 'unknown') return matches;
  if (matches.kind === 'absent')
    throw new UserError('IPVS mode: the kernel has no xt_set: run `modprobe xt_set` on the node');
  log.warn(
    'sets of this kernel cannot give marks: under externalTrafficPolicy Local, clients on this node reach only what clients outside reach',
  );
  return absent;
}

/** A refusal counts only if a plain set can be made before and after it. Throws as askSetMarks does. */
async function canMakeMarking(sets: SetDriver, plain: string, marking: string): Promise<boolean> {
  const make = async (line: string): Promise<CommandError | undefined> => {
    try {
      await sets.restore(`${line}\n`);
      return undefined;
    } catch (error) {
      if (error instanceof CommandError) return error;
      throw error;
    }
  };
  const requirePlain = async (): Promise<void> => {
    const refused = await make(plain);
    if (refused === undefined) return;
    throw isAboutMachine(refused) ? new UserError(`IPVS mode: ${refused.message}`) : refused;
  };
  await requirePlain();
  const refused = await make(marking);
  if (refused === undefined) return true;
  await requirePlain();
  const again = await make(marking);
  if (again === undefined) return true;
  if (again.exitCode === undefined || again.exitCode === lockConflict) throw again;
  return false;
}

async function setTimeouts(servers: ServersDriver, ipvs: ProxyConfiguration['ipvs'], log: Logger): Promise<void> {
  const { tcpTimeoutSeconds: tcpSeconds, tcpFinTimeoutSeconds: tcpFinSeconds, udpTimeoutSeconds: udpSeconds } = ipvs;
  if (tcpSeconds + tcpFinSeconds + udpSeconds === 0) return;
  try {
    await servers.setTimeouts({ tcpSeconds, tcpFinSeconds, udpSeconds });
  } catch (error) {
    log.error({ reason: messageOf(error) }, 'the IPVS timeouts cannot be set and stay as they are');
  }
}
