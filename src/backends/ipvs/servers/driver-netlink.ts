/** Virtual servers over generic netlink. */
import { readGenericFamily } from '../../../host/generic-netlink';
import { NetlinkError, NetlinkSocket, netlinkProtocols } from '../../../host/netlink';
import { mostInBatch, NetlinkBatch } from '../../../host/netlink-batch';
import type { Family } from '../../../model/address';
import {
  decodeDestination,
  decodeServer,
  type DestinationState,
  encodeDestinationsRequest,
  encodeInfoRequest,
  encodeServerRequest,
  encodeServerWrite,
  encodeTimeouts,
  familyName,
  type IpvsTimeouts,
  longestWriteBytes,
} from './driver-messages';
import type { ServerTransport } from './transport';
import type { ServerOptions } from './server-options';
import { type RefusedWrite, ServerWriteError } from './write-error';
import { lastWrites } from './unmet-writes';
import type { ServerWrite } from './virtual-server';

/** What to write instead of a refused write. undefined: nothing is left to do. 'refused': nothing helps. */
function amend(write: ServerWrite, code: string): ServerWrite | 'refused' | undefined {
  const isGone = code === 'ENOENT' || code === 'ESRCH';
  switch (write.op) {
    case 'add-server':
      return code === 'EEXIST' ? { ...write, op: 'edit-server' } : 'refused';
    case 'edit-server':
      return code === 'ESRCH' ? { ...write, op: 'add-server' } : 'refused';
    case 'add-destination':
      // The server's edit was refused just before, so the server is added first.
      return code === 'EEXIST' ? { ...write, op: 'edit-destination' } : code === 'ESRCH' ? write : 'refused';
    case 'edit-destination':
      return isGone ? { ...write, op: 'add-destination' } : 'refused';
    case 'delete-server':
    case 'delete-destination':
      return isGone ? undefined : 'refused';
  }
}

export class NetlinkServers implements ServerTransport {
  readonly tellsRefusals = true;
  readonly #socket = new NetlinkSocket(netlinkProtocols.generic);
  readonly #batch = new NetlinkBatch(netlinkProtocols.generic, longestWriteBytes);
  #type = 0;

  constructor(readonly family: Family) {}

  /**
   * Returns false when the kernel has no IPVS (yet). Throws NetlinkUnavailableError, or NetlinkError: EPERM when this process may not
   * program IPVS.
   */
  async connect(): Promise<boolean> {
    try {
      this.#type = await readGenericFamily(this.#socket, familyName);
    } catch (error) {
      if (error instanceof NetlinkError && error.code === 'ENOENT') return false;
      throw error;
    }
    await this.#socket.request(this.#type, 0, encodeInfoRequest());
    return true;
  }

  async write(writes: readonly ServerWrite[]): Promise<void> {
    const refused: RefusedWrite[] = [];
    for (let at = 0; at < writes.length; at += mostInBatch)
      refused.push(...(await this.#writeChunk(writes.slice(at, at + mostInBatch))));
    if (refused.length > 0) throw new ServerWriteError(this.family, refused, writes.length);
  }

  async #writeChunk(chunk: readonly ServerWrite[]): Promise<RefusedWrite[]> {
    const first = await this.#send(chunk);
    if (first.length === 0) return first;
    const refused: RefusedWrite[] = [];
    const amended: ServerWrite[] = [];
    // The rest of the chunk is in force. What it wrote later to the same thing must not be undone.
    const last = lastWrites(chunk);
    for (const { write, code } of first) {
      const instead = last.has(write) ? amend(write, code) : undefined;
      if (instead === 'refused') refused.push({ write, code });
      else if (instead !== undefined) amended.push(instead);
    }
    return [...refused, ...(await this.#send(amended))];
  }

  /** Returns the refused writes, in their order. */
  async #send(writes: readonly ServerWrite[]): Promise<Required<RefusedWrite>[]> {
    const refused = await this.#batch.send(this.#type, writes.length, (index, message, at) => {
      const write = writes[index];
      return write === undefined ? at : encodeServerWrite(write, this.family, message, at);
    });
    return writes.flatMap((write, index) => {
      const code = refused.get(index);
      return code === undefined ? [] : { write, code };
    });
  }

  async readOptions(): Promise<ReadonlyMap<string, ServerOptions>> {
    const servers = await this.#socket.dumpAll(this.#type, encodeServerRequest(), decodeServer);
    return new Map(servers.map(({ server, options }) => [server, options]));
  }

  readDestinations(server: string): Promise<readonly DestinationState[]> {
    const request = encodeDestinationsRequest(this.family, server);
    return this.#socket.dumpAll(this.#type, request, (payload) => decodeDestination(payload, this.family));
  }

  async setTimeouts(timeouts: IpvsTimeouts): Promise<void> {
    await this.#socket.request(this.#type, 0, encodeTimeouts(timeouts));
  }

  async canSchedule(server: string, scheduler: string): Promise<boolean> {
    const [refused] = await this.#send([{ op: 'add-server', server, options: `-s ${scheduler}` }]);
    if (refused?.code === 'ENOENT') return false;
    if (refused !== undefined) throw new ServerWriteError(this.family, [refused], 1);
    const answers = await this.#socket.request(this.#type, 0, encodeServerRequest(this.family, server));
    await this.write([{ op: 'delete-server', server }]);
    return answers.some(({ payload }) => decodeServer(payload)?.options.scheduler === scheduler);
  }

  close(): void {
    this.#socket.close();
    this.#batch.close();
  }
}
