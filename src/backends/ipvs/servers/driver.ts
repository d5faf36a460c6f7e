/** Virtual servers of one family, over netlink, or by ipvsadm when the netlink addon cannot be loaded. */
import { CommandError, type RunCommand } from '../../../host/command';
import { loadModule } from '../../../host/kernel-modules';
import { NetlinkError, NetlinkUnavailableError } from '../../../host/netlink';
import { readProcFile } from '../../../host/proc-file';
import type { Family } from '../../../model/address';
import { schedulerNames, type SchedulerName } from '../../../model/scheduler';
import { UserError } from '../../../model/user-error';
import type { DestinationState, IpvsTimeouts } from './driver-messages';
import { NetlinkServers } from './driver-netlink';
import { ToolServers } from './driver-tool';
import type { ServerTransport } from './transport';
import { ProcIpVsParser, type ProcServer } from './proc-ip-vs';
import { hasSchedulerFlags, printServerOptions, serverFlags, type ServerOptions } from './server-options';
import { ServerWriteError } from './write-error';
import { unmetWrites } from './unmet-writes';
import type { SeenServers, ServerWrite } from './virtual-server';

const procFile = '/proc/net/ip_vs';
/** Servers to try a scheduler with, on addresses for documentation. kube-proxy uses TCP 198.51.100.0:20000 too. */
const probes: Readonly<Record<Family, string>> = {
  IPv4: 'TCP 198.51.100.0:20000',
  IPv6: 'TCP [2001:db8::c633:6400]:20000',
};

/** Loads the kernel module if needed. Throws a UserError of one line that says what to do. */
export async function openServers(family: Family, run: RunCommand): Promise<ServersDriver> {
  const netlink = new NetlinkServers(family);
  try {
    if (!(await netlink.connect())) {
      const failure = await tryLoading('ip_vs', run);
      if (!(await netlink.connect())) throw noKernel(failure);
    }
    return new ServersDriver(family, netlink, run);
  } catch (error) {
    netlink.close();
    if (error instanceof NetlinkError && error.code === 'EPERM')
      throw new UserError('no permission to program IPVS: run as root, with CAP_NET_ADMIN', { cause: error });
    if (!(error instanceof NetlinkUnavailableError)) throw error;
  }
  return new ServersDriver(family, await openTool(family, run), run);
}

/** Throws UserError, as openServers. */
export async function openTool(family: Family, run: RunCommand): Promise<ToolServers> {
  const transport = new ToolServers(family, run);
  const failure = await tryLoading('ip_vs', run);
  try {
    await transport.connect();
    return transport;
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    if (error.notFound)
      throw new UserError(
        'IPVS mode needs the netlink addon, which cannot be loaded here, or the tool ipvsadm: install ipvsadm',
        { cause: error },
      );
    // The tool was killed, or never began.
    if (error.exitCode === undefined) throw error;
    throw failure === undefined ? new UserError(error.message, { cause: error }) : noKernel(failure);
  }
}

function noKernel(failure: string | undefined): UserError {
  const why = failure === undefined ? '' : ` (${failure})`;
  return new UserError(
    `the kernel has no IPVS: load it on the node (modprobe ip_vs), or mount the node's /lib/modules, so that vipwire can load it${why}`,
  );
}

/** Returns what modprobe failed with, or undefined. The kernel may also load a missing module by itself. */
async function tryLoading(name: string, run: RunCommand): Promise<string | undefined> {
  const loaded = await loadModule(run, name);
  // modprobe said nothing about the module.
  if (loaded.kind === 'unknown') throw new Error(`cannot tell whether the kernel has ${name}: ${loaded.reason}`);
  return loaded.kind === 'absent' ? loaded.reason : undefined;
}

export class ServersDriver {
  /** CONFIG_HZ, known from the first server with persistence. */
  #ticksPerSecond: number | undefined;
  readonly #transport: ServerTransport;
  readonly #run: RunCommand;

  constructor(
    readonly family: Family,
    transport: ServerTransport,
    run: RunCommand,
  ) {
    this.#transport = transport;
    this.#run = run;
  }

  /**
   * Makes the writes in their order. An addition of something that is there edits it, an edit of something that is not there adds it,
   * and a deletion may find it gone. Throws ServerWriteError after the last write when some were refused. Throws NetlinkError or
   * CommandError when it is unknown what was done.
   */
  async apply(writes: readonly ServerWrite[]): Promise<void> {
    await this.#transport.write(writes);
    if (this.#transport.tellsRefusals) return;
    const unmet = unmetWrites(writes, (await this.read()).servers);
    if (unmet.length === 0) return;
    await this.#transport.write(unmet);
    const refused = unmetWrites(unmet, (await this.read()).servers);
    const asWritten = refused.map((write) => ({ write }));
    if (refused.length > 0) throw new ServerWriteError(this.family, asWritten, writes.length);
  }

  /** Reads all servers, a few milliseconds at a time. Throws NetlinkError or CommandError. */
  async read(): Promise<SeenServers> {
    const servers = new Map<string, string>();
    /** Servers of which /proc does not tell enough. */
    const vague = new Map<string, ProcServer>();
    const parser = new ProcIpVsParser(this.family, (server, seen) => {
      if (this.#isVague(seen)) vague.set(server, seen);
      else servers.set(server, this.#print(seen, undefined));
    });
    await readProcFile(procFile, (piece) => parser.push(piece));
    if (!parser.hasBegun) throw new Error(`${procFile} is empty`);
    parser.end();
    if (vague.size > 0) {
      const told = await this.#transport.readOptions();
      for (const [server, seen] of vague) servers.set(server, this.#print(seen, told.get(server)));
    }
    return { servers, resting: parser.resting };
  }

  /** The destinations of one server with their connections. They tell whether a draining one is done. */
  readDestinations(server: string): Promise<readonly DestinationState[]> {
    return this.#transport.readDestinations(server);
  }

  setTimeouts(timeouts: IpvsTimeouts): Promise<void> {
    return this.#transport.setTimeouts(timeouts);
  }

  /** Whether the kernel has the scheduler. Loads its module if needed. */
  async hasScheduler(scheduler: SchedulerName): Promise<boolean> {
    const server = probes[this.family];
    // A process that was killed during such a probe has left the server.
    await this.apply([{ op: 'delete-server', server }]);
    if (await this.#transport.canSchedule(server, scheduler)) return true;
    if ((await tryLoading(`ip_vs_${scheduler}`, this.#run)) !== undefined) return false;
    return this.#transport.canSchedule(server, scheduler);
  }

  /** Throws a UserError that names the schedulers of the kernel when it does not have this one. */
  async requireScheduler(scheduler: SchedulerName): Promise<void> {
    if (await this.hasScheduler(scheduler)) return;
    const others: string[] = [];
    for (const name of schedulerNames) if (name !== scheduler && (await this.hasScheduler(name))) others.push(name);
    throw new UserError(
      `the kernel has no IPVS scheduler ${scheduler}: load it on the node (modprobe ip_vs_${scheduler}), or choose one that it has: ${others.join(', ')}`,
    );
  }

  close(): void {
    this.#transport.close();
  }

  #isVague({ scheduler, persistenceTicks }: ProcServer): boolean {
    return hasSchedulerFlags(scheduler) || (persistenceTicks > 0 && this.#ticksPerSecond === undefined);
  }

  /** @param told the server's options by the transport. undefined when they were not asked for, or when the server is new. */
  #print(seen: ProcServer, told: ServerOptions | undefined): string {
    const { scheduler, onePacket, persistenceTicks, persistenceMask } = seen;
    if (told !== undefined && persistenceTicks > 0 && told.persistenceSeconds > 0)
      this.#ticksPerSecond ??= persistenceTicks / told.persistenceSeconds;
    const persistenceSeconds = Math.round(persistenceTicks / (this.#ticksPerSecond ?? 1));
    const options = told ?? { scheduler, persistenceSeconds, flags: onePacket ? serverFlags.onePacket : 0 };
    return (
      printServerOptions(persistenceMask === undefined ? options : { ...options, persistenceMask }) + seen.destinations
    );
  }
}
