/** Named packet counters of this network namespace (nfnetlink_acct), which rules increment by `-m nfacct --nfacct-name NAME`. */
import { NetlinkError, NetlinkSocket, netlinkProtocols } from './netlink';
import { encodeAttribute, findAttribute } from './netlink-attributes';

const subsystem = 7 << 8; // NFNL_SUBSYS_ACCT
const make = subsystem | 0; // NFNL_MSG_ACCT_NEW
const get = subsystem | 1; // NFNL_MSG_ACCT_GET
const remove = subsystem | 3; // NFNL_MSG_ACCT_DEL
const makeNew = 0x600; // NLM_F_CREATE | NLM_F_EXCL
const attributes = { name: 1, packets: 2 } as const; // NFACCT_NAME, NFACCT_PKTS
const nfgenmsgBytes = 4;

/** All methods need CAP_NET_ADMIN. They throw NetlinkError, and NetlinkUnavailableError where the addon cannot load. */
export class PacketCounters {
  readonly #socket = new NetlinkSocket(netlinkProtocols.netfilter);

  /** Makes the counters that are missing; the others keep their counts. A name has at most 31 characters. */
  async ensure(names: readonly string[]): Promise<void> {
    for (const name of names) await this.#request(make, makeNew, name, 'EEXIST');
  }

  /** Returns the number of packets, or undefined where there is no such counter. */
  async read(name: string): Promise<number | undefined> {
    const answer = await this.#request(get, 0, name, 'ENOENT');
    const payload = answer?.[0]?.payload ?? Buffer.alloc(0);
    const at = findAttribute(payload, nfgenmsgBytes, payload.length, attributes.packets);
    return at < 0 ? undefined : Number(payload.readBigUInt64BE(at));
  }

  /** Returns false where a rule still uses the counter. A counter that does not exist is not an error. */
  async delete(name: string): Promise<boolean> {
    try {
      await this.#request(remove, 0, name, 'ENOENT');
      return true;
    } catch (error) {
      if (error instanceof NetlinkError && error.code === 'EBUSY') return false;
      throw error;
    }
  }

  close(): void {
    this.#socket.close();
  }

  async #request(
    type: number,
    flags: number,
    name: string,
    harmless: string,
  ): Promise<Awaited<ReturnType<NetlinkSocket['request']>> | undefined> {
    const payload = Buffer.concat([
      Buffer.alloc(nfgenmsgBytes),
      encodeAttribute(attributes.name, Buffer.from(`${name}\0`)),
    ]);
    try {
      return await this.#socket.request(type, flags, payload);
    } catch (error) {
      if (error instanceof NetlinkError && error.code === harmless) return undefined;
      throw error;
    }
  }
}
