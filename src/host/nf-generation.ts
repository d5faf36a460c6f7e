/** The generation of a network namespace's nf_tables rules, which is a cheap way to notice that somebody wrote. */
import { NetlinkSocket, netlinkProtocols } from './netlink';
import { findAttribute } from './netlink-attributes';

const getGeneration = (10 << 8) | 16; // NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN
const generationId = 1; // NFTA_GEN_ID
const nfgenmsgBytes = 4;

/**
 * The generation counts the committed transactions of every writer, including ours: one per `nft -f`, one per COMMIT of
 * iptables-nft-restore. The pid and the name in the answer to a unicast request are the asker's own, so they do not say who wrote.
 */
export class NfGeneration {
  readonly #socket = new NetlinkSocket(netlinkProtocols.netfilter);

  /** A 32-bit number that wraps past 0. Throws NetlinkError, or NetlinkUnavailableError where the addon cannot load. */
  readGeneration(): Promise<number> {
    return readGeneration(this.#socket);
  }

  close(): void {
    this.#socket.close();
  }
}

/** Like NfGeneration.readGeneration, over the caller's socket. */
export async function readGeneration(socket: NetlinkSocket): Promise<number> {
  const answer = await socket.request(getGeneration, 0, Buffer.alloc(nfgenmsgBytes));
  const payload = answer[0]?.payload ?? Buffer.alloc(0);
  const at = findAttribute(payload, nfgenmsgBytes, payload.length, generationId);
  if (at < 0) throw new TypeError("nf_tables' answer has no generation");
  return payload.readUInt32BE(at);
}
