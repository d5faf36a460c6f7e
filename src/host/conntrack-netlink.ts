/** The connection tracker over netlink: a dump, and one deletion per flow. */
import { type Family, formatAddress } from '../model/address';
import type { FlowFilter } from '../model/flow';
import { ConntrackUnavailableError } from './conntrack-unavailable';
import { NetlinkError, NetlinkSocket, netlinkProtocols } from './netlink';
import { attributeEnd, encodeAttribute, encodeNested, findAttribute } from './netlink-attributes';

const subsystem = 1 << 8; // NFNL_SUBSYS_CTNETLINK
const get = subsystem | 1; // IPCTNL_MSG_CT_GET
const remove = subsystem | 2; // IPCTNL_MSG_CT_DELETE
const nfgenmsgBytes = 4;

/** CTA_*, as linux/netfilter/nfnetlink_conntrack.h numbers them. */
const entry = { original: 1, reply: 2, id: 12, zone: 18, filter: 25 } as const;
const tuple = { ip: 1, protocol: 2 } as const;
const ip = { v4: { source: 1, destination: 2 }, v6: { source: 3, destination: 4 } } as const;
const protocol = { number: 1, sourcePort: 2, destinationPort: 3 } as const;
const filterOriginalFlags = 1; // CTA_FILTER_ORIG_FLAGS
/** The kernel's CTA_FILTER_F_CTA_PROTO_NUM and _DST_PORT. */
const filterFlags = { protocolNumber: 1 << 3, destinationPort: 1 << 5 } as const;
const udp = 17;

/** At 100,000 flows the kernel takes 30-40 ms (in one go) to find those of one port, and 200 ms to dump all of them. */
const mostDumps = 4;
/** Deletions that are sent at once; the event loop runs between such chunks. */
const deletionsAtOnce = 1_024;

function encodeFamily(family: Family): Buffer {
  return Buffer.from([family === 'IPv4' ? 2 : 10, 0, 0, 0]); // struct nfgenmsg
}

/** Asks for the UDP flows of a family, to one port or to all. Kernels before 5.8 have no filter and send all flows of all protocols. */
function encodeDump(family: Family, port: number | undefined): Buffer {
  const fields = [encodeAttribute(protocol.number, Buffer.from([udp]))];
  const flags = Buffer.alloc(4);
  flags.writeUInt32LE(filterFlags.protocolNumber | (port === undefined ? 0 : filterFlags.destinationPort));
  if (port !== undefined) fields.push(encodeAttribute(protocol.destinationPort, Buffer.from([port >> 8, port & 0xff])));
  return Buffer.concat([
    encodeFamily(family),
    encodeNested(entry.original, encodeNested(tuple.protocol, ...fields)),
    encodeNested(entry.filter, encodeAttribute(filterOriginalFlags, flags)),
  ]);
}

/** The attributes of one end of a flow, and where that end is kept for comparison. */
interface FlowEnd {
  /** entry.original or entry.reply. */
  readonly direction: number;
  readonly addressType: number;
  readonly portType: number;
  /** The offset in FlowJudge's copy at which the address begins; the port follows it. */
  readonly to: number;
}

/** Judges the flows of one dump. Each pair of VIP and endpoint is judged once, however many clients it has. */
class FlowJudge {
  readonly #verdicts = new Map<string, boolean>();
  readonly #addressBytes: number;
  /** dst, dstPort, replySrc and replySrcPort of the present flow, as they are on the wire. */
  readonly #ends: Buffer;
  readonly #original: FlowEnd;
  readonly #reply: FlowEnd;

  constructor(
    readonly family: Family,
    readonly filter: FlowFilter,
  ) {
    this.#addressBytes = family === 'IPv4' ? 4 : 16;
    const half = this.#addressBytes + 2;
    this.#ends = Buffer.alloc(2 * half);
    const { source, destination } = family === 'IPv4' ? ip.v4 : ip.v6;
    const { sourcePort, destinationPort } = protocol;
    this.#original = { direction: entry.original, addressType: destination, portType: destinationPort, to: 0 };
    this.#reply = { direction: entry.reply, addressType: source, portType: sourcePort, to: half };
  }

  /** Returns the request that deletes the flow if it is stale. */
  deletionOf(message: Buffer): Buffer | undefined {
    if (!this.#readEnd(message, this.#original) || !this.#readEnd(message, this.#reply)) return undefined;
    const key = this.#ends.toString('latin1');
    let stale = this.#verdicts.get(key);
    if (stale === undefined) {
      stale = this.#judge();
      this.#verdicts.set(key, stale);
    }
    return stale ? this.#encodeDeletion(message) : undefined;
  }

  #judge(): boolean {
    const half = this.#addressBytes + 2;
    const dstPort = this.#ends.readUInt16BE(this.#addressBytes);
    if (!this.filter.ports.has(dstPort)) return false;
    const replySrcPort = this.#ends.readUInt16BE(half + this.#addressBytes);
    return this.filter.isStale({ dst: this.#addressAt(0), dstPort, replySrc: this.#addressAt(half), replySrcPort });
  }

  /** Copies one direction's address and port to #ends. Returns false where the flow is not UDP. */
  #readEnd(message: Buffer, { direction, addressType, portType, to }: FlowEnd): boolean {
    const whole = findAttribute(message, nfgenmsgBytes, message.length, direction);
    if (whole < 0) return false;
    const end = attributeEnd(message, whole);
    const addresses = findAttribute(message, whole, end, tuple.ip);
    const ports = findAttribute(message, whole, end, tuple.protocol);
    if (addresses < 0 || ports < 0) return false;
    const address = findAttribute(message, addresses, attributeEnd(message, addresses), addressType);
    const number = findAttribute(message, ports, attributeEnd(message, ports), protocol.number);
    const port = findAttribute(message, ports, attributeEnd(message, ports), portType);
    if (address < 0 || port < 0 || number < 0 || message[number] !== udp) return false;
    for (let i = 0; i < this.#addressBytes; i++) this.#ends[to + i] = message[address + i] ?? 0;
    this.#ends.writeUInt16BE(message.readUInt16BE(port), to + this.#addressBytes);
    return true;
  }

  #addressAt(start: number): string {
    const hex = this.#ends.toString('hex', start, start + this.#addressBytes);
    return formatAddress(this.family, BigInt(`0x${hex}`));
  }

  /** Names the flow by tuple, zone and id, so that a later flow with the same tuple stays. */
  #encodeDeletion(message: Buffer): Buffer {
    const parts: Buffer[] = [encodeFamily(this.family)];
    for (const type of [entry.original, entry.zone, entry.id]) {
      const start = findAttribute(message, nfgenmsgBytes, message.length, type);
      if (start < 0) continue;
      const value = message.subarray(start, attributeEnd(message, start));
      parts.push(type === entry.original ? encodeNested(type, value) : encodeAttribute(type, value));
    }
    return Buffer.concat(parts);
  }
}

export class ConntrackNetlink {
  readonly #socket = new NetlinkSocket(netlinkProtocols.netfilter);

  /** Like Conntrack.deleteUdpFlows, but throws NetlinkUnavailableError where the addon cannot load. */
  async deleteUdpFlows(family: Family, filter: FlowFilter): Promise<number> {
    let deleted = 0;
    for (const port of filter.ports.size <= mostDumps ? filter.ports : [undefined]) {
      const deletions = await this.#readDeletions(family, port, filter);
      for (let at = 0; at < deletions.length; at += deletionsAtOnce) {
        const chunk = deletions.slice(at, at + deletionsAtOnce).map((deletion) => this.#delete(deletion));
        const done = await Promise.all(chunk);
        deleted += done.filter((isDeleted) => isDeleted).length;
      }
    }
    return deleted;
  }

  async #readDeletions(family: Family, port: number | undefined, filter: FlowFilter): Promise<Buffer[]> {
    const judge = new FlowJudge(family, filter);
    try {
      return await this.#socket.dumpAll(get, encodeDump(family, port), (payload) => judge.deletionOf(payload));
    } catch (error) {
      // nfnetlink answers EINVAL for a subsystem that does not exist.
      if (error instanceof NetlinkError && error.code === 'EINVAL')
        throw new ConntrackUnavailableError('the kernel has no nf_conntrack_netlink', { cause: error });
      throw error;
    }
  }

  async #delete(deletion: Buffer): Promise<boolean> {
    try {
      await this.#socket.request(remove, 0, deletion);
      return true;
    } catch (error) {
      if (error instanceof NetlinkError && error.code === 'ENOENT') return false;
      throw error;
    }
  }

  close(): void {
    this.#socket.close();
  }
}
