/** A transaction of nf_tables: the kernel carries out all of its messages, or none. */
import { getSystemErrorName } from 'node:util';
import { controlMessages, headerBytes, messageFlags, mostInFlight, netlinkProtocols } from './netlink';
import { NetlinkError, openRawSocket } from './netlink-addon';

const batch = { begin: 16, end: 17 } as const; // NFNL_MSG_BATCH_
/** struct nfgenmsg of both: no family, version 0, and the subsystem NFNL_SUBSYS_NFTABLES. */
const ofNfTables = Buffer.from([0, 0, 0, 10]);
const timeoutMs = 10_000;

interface NfMessage {
  readonly type: number;
  /** Flags besides those that every message of a transaction has. */
  readonly flags?: number;
  /** The message from struct nfgenmsg on. */
  readonly payload: Uint8Array;
}

/**
 * Throws NetlinkError with the kernel's first error; then nothing was done. Only after ETIMEDOUT it is not known what was done.
 * @param messages at most mostInFlight, since so many acks may wait in a receive queue.
 */
export async function commitTransaction(messages: readonly NfMessage[]): Promise<void> {
  if (messages.length === 0) return;
  if (messages.length > mostInFlight)
    throw new RangeError(`${messages.length} messages are too many for one transaction`);
  const { request, ack } = messageFlags;
  const datagram = Buffer.concat([
    encode(0, { type: batch.begin, flags: request, payload: ofNfTables }),
    ...messages.map((message, i) => encode(i + 1, { ...message, flags: (message.flags ?? 0) | request | ack })),
    encode(messages.length + 1, { type: batch.end, flags: request, payload: ofNfTables }),
  ]);
  await new Promise<void>((resolve, reject) => {
    const type = messages[0]?.type ?? 0;
    const answers = new Answers(messages.length);
    let close = (): void => undefined;
    const timer = setTimeout(() => end('ETIMEDOUT'), timeoutMs);
    const end = (code: string): void => {
      clearTimeout(timer);
      close();
      if (code === '') resolve();
      else reject(new NetlinkError(code, type));
    };
    openRawSocket(netlinkProtocols.netfilter, {
      onDatagram: (datagram) => {
        const code = answers.take(datagram);
        if (code !== undefined) end(code);
      },
      onError: (_, code) => end(code),
    }).then((raw) => {
      // Not inside the addon's own callback, which still uses the socket.
      close = () => setImmediate(() => raw.close());
      raw.ref();
      raw.send(datagram, undefined, (error) => {
        if (error !== undefined) end(error.code);
      });
    }, reject);
  });
}

function encode(sequence: number, { type, flags = 0, payload }: NfMessage): Buffer {
  const message = Buffer.alloc((headerBytes + payload.length + 3) & ~3);
  message.writeUInt32LE(headerBytes + payload.length, 0);
  message.writeUInt16LE(type, 4);
  message.writeUInt16LE(flags, 6);
  message.writeUInt32LE(sequence, 8);
  message.set(payload, headerBytes);
  return message;
}

/** Every message gets an ack or an error. A transaction that fails as a whole gets one error for its begin message. */
class Answers {
  #left: number;

  constructor(count: number) {
    this.#left = count;
  }

  /** Returns '' when all is done, the name of errno when nothing is done, and undefined while answers are missing. */
  take(datagram: Buffer): string | undefined {
    for (let at = 0; at + headerBytes + 4 <= datagram.length; ) {
      const length = datagram.readUInt32LE(at);
      if (length < headerBytes || at + length > datagram.length) return undefined;
      if (datagram.readUInt16LE(at + 4) === controlMessages.error) {
        const errno = datagram.readInt32LE(at + headerBytes);
        if (errno < 0) return getSystemErrorName(errno);
        if (datagram.readUInt32LE(at + 8) > 0) this.#left--;
      }
      at += (length + 3) & ~3;
    }
    return this.#left <= 0 ? '' : undefined;
  }
}
