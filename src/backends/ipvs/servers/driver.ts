/** Virtual servers of one family: over netlink, or by ipvsadm where the addon cannot load. */
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
import { ProcIpVsParser, type ProcServer, type Resting } from './proc-ip-vs';
import { hasSchedulerFlags, printServerOptions, serverFlags, type ServerOptions } from './server-options';
import { ServerWriteError } from './write-error';
import { unmetWrites } from './unmet-writes';
import type { ServerWrite } from './virtual-server';

const procFile = '/proc/net/ip_vs';
/** Of the networks for documentation; TCP 198.51.100.0:20000 is what kube-proxy tries a scheduler with. */
const probes: Readonly<Record<Family, string>> = {
  IPv4: 'TCP 198.51.100.0:20000',
  IPv6: 'TCP [2001:db8::c633:6400]:20000',
};

export interface ObservedServers {
  /** Key -> text, as in virtual-server.ts; whoever made them, of this family and of marks. */
  readonly servers: ReadonlyMap<string, string>;
  /** Destinations of weight 0. */
  readonly resting: readonly Resting[];
}

/** Loads the module if need be. Throws UserError: one line that says what to do. */
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
      throw new UserError('IPVS mode needs the netlink addon, which does not load here, or ipvsadm: install it', {
        cause: error,
      });
    // It was killed, or never began.
    if (error.exitCode === undefined) throw error;
    throw failure === undefined ? new UserError(error.message, { cause: error }) : noKernel(failure);
  }
}

function noKernel(failure: string | undefined): UserError {
  const why = failure === undefined ? '' : ` (${failure})`;
  return new UserError(
    `the kernel has no IPVS: load it on the node (modprobe ip_vs), or let vipwire do so by mounting the node's /lib/modules${why}`,
  );
}

/** What modprobe failed with, or undefined. The kernel loads what it misses by itself as well, where it can. */
async function tryLoading(name: string, run: RunCommand): Promise<string | undefined> {
  const loaded = await loadModule(run, name);
  // It said nothing about the module.
  if (loaded.kind === 'unknown') throw new Error(`cannot tell whether ${name} is there: ${loaded.reason}`);
  return loaded.kind === 'absent' ? loaded.reason : undefined;
}

export class ServersDriver {
  /** CONFIG_HZ, from the first server with persistence. */
  #ticksPerSecond: number | undefined;

  constructor(
    readonly family: Family,
    private readonly transport: ServerTransport,
    private readonly run: RunCommand,
  ) {}

  /**
   * In their order. An addition of what is there edits it, an edit of what is not adds it, and what is to be deleted may be gone.
   * Throws ServerWriteError after the last one, and NetlinkError or CommandError where it is unknown what was done.
   */
  async apply(writes: readonly ServerWrite[]): Promise<void> {
    await this.transport.write(writes);
    if (this.transport.tellsRefusals) return;
    const unmet = unmetWrites(writes, (await this.read()).servers);
    if (unmet.length === 0) return;
    await this.transport.write(unmet);
    const refused = unmetWrites(unmet, (await this.read()).servers);
    const asWritten = refused.map((write) => ({ write }));
    if (refused.length > 0) throw new ServerWriteError(this.family, asWritten, writes.length);
  }

  /** Everything, a few milliseconds at a time. Throws NetlinkError or CommandError. */
  async read(): Promise<ObservedServers> {
    const servers = new Map<string, string>();
    /** Of which /proc does not tell enough. */
    const vague = new Map<string, ProcServer>();
    const parser = new ProcIpVsParser(this.family, (server, seen) => {
      if (this.#isVague(seen)) vague.set(server, seen);
      else servers.set(server, this.#print(seen, undefined));
    });
    await readProcFile(procFile, (piece) => parser.push(piece));
    if (!parser.hasBegun) throw new Error(`${procFile} came empty`);
    parser.end();
    if (vague.size > 0) {
      const told = await this.transport.readOptions();
      for (const [server, seen] of vague) servers.set(server, this.#print(seen, told.get(server)));
    }
    return { servers, resting: parser.resting };
  }

  /** One server's, with their connections: to see whether those that drain are done. */
  readDestinations(server: string): Promise<readonly DestinationState[]> {
    return this.transport.readDestinations(server);
  }

  setTimeouts(timeouts: IpvsTimeouts): Promise<void> {
    return this.transport.setTimeouts(timeouts);
  }

  /** Whether the kernel has it, after loading it if need be. */
  async hasScheduler(scheduler: SchedulerName): Promise<boolean> {
    const server = probes[this.family];
    // Of a process that was killed while it tried.
    await this.apply([{ op: 'delete-server', server }]);
    if (await this.transport.canSchedule(server, scheduler)) return true;
    if ((await tryLoading(`ip_vs_${scheduler}`, this.run)) !== undefined) return false;
    return this.transport.canSchedule(server, scheduler);
  }

  /** Throws UserError, with those that the kernel has, where it has not this one. */
  async requireScheduler(scheduler: SchedulerName): Promise<void> {
    if (await this.hasScheduler(scheduler)) return;
    const others: string[] = [];
    for (const name of schedulerNames) if (name !== scheduler && (await this.hasScheduler(name))) others.push(name);
    throw new UserError(
      `the kernel has no IPVS scheduler ${scheduler}: load it on the node (modprobe ip_vs_${scheduler}), or choose one that it has: ${others.join(', ')}`,
    );
  }

  close(): void {
    this.transport.close();
  }

  #isVague({ scheduler, persistenceTicks }: ProcServer): boolean {
    return hasSchedulerFlags(scheduler) || (persistenceTicks > 0 && this.#ticksPerSecond === undefined);
  }

  /** With what netlink told of it, which may be nothing: where it came meanwhile. */
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
