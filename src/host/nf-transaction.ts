/** Transactions of nf_tables: all messages of one are done, or none. */
import type { RawNetlinkSocket } from 'netlink/dist/raw';
import { getSystemErrorName } from 'node:util';
import { headerBytes, messageFlags, netlinkProtocols } from './netlink';
import { NetlinkError, openRawSocket, type RawSocketListeners, type RawSocketSizes } from './netlink-addon';
import { readAnswers } from './netlink-answers';

const batch = { begin: 16, end: 17 } as const; // NFNL_MSG_BATCH_
/** struct nfgenmsg of both: no family, version 0, and the subsystem NFNL_SUBSYS_NFTABLES. */
const ofNfTables = Buffer.from([0, 0, 0, 10]);
const timeoutMs = 10_000;

/**
 * Every message that fails is answered with an error that has the whole message in it, and a receive queue that overflows makes the addon
 * abort the process. With the kernel's usual net.core.rmem_max and wmem_max (212,992) so much fits even where every message fails.
 */
export const transactionLimits = { messages: 192, bytes: 96 * 1024 } as const;

export interface NfMessage {
  readonly type: number;
  /** Besides those that every message of a transaction has. */
  readonly flags?: number;
  /** From struct nfgenmsg on. */
  readonly payload: Uint8Array;
}

/** The kernel refused a transaction; nothing of it is done. */
export class NfTransactionError extends NetlinkError {
  constructor(
    code: string,
    type: number,
    /** The messages at fault, by their number, with errno's name; empty where it is the transaction as a whole. */
    readonly refused: ReadonlyMap<number, string>,
  ) {
    super(code, type);
  }
}

interface Transaction {
  readonly messages: readonly NfMessage[];
  readonly firstSequence: number;
  readonly refused: Map<number, string>;
  readonly end: (error?: NetlinkError) => void;
}

/** How many of the messages, from `start` on, fit one transaction; at least one. */
export function takeTransaction(messages: readonly NfMessage[], start = 0): number {
  let bytes = 0;
  let count = 0;
  for (const { payload } of messages.slice(start, start + transactionLimits.messages)) {
    bytes += headerBytes + payload.length;
    if (count > 0 && bytes > transactionLimits.bytes) break;
    count++;
  }
  return count;
}

/**
 * One socket. Opened at the first transaction in the network namespace of that moment, and again after an error of the socket itself. One
 * transaction is under way at a time; the kernel works it off inside the call that sends it.
 */
export class NfTransactions {
  #raw: RawNetlinkSocket | undefined;
  #now: Transaction | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #sequence = 0;
  #closed = false;

  constructor(readonly sizes: RawSocketSizes = {}) {}

  /**
   * Throws NfTransactionError where nothing is done; another NetlinkError, ETIMEDOUT for one, where it cannot be told what is done; and
   * NetlinkUnavailableError.
   * @param messages within transactionLimits.
   */
  async commit(messages: readonly NfMessage[]): Promise<void> {
    if (messages.length === 0) return;
    if (takeTransaction(messages) < messages.length)
      throw new RangeError(`${messages.length} messages are no one transaction`);
    const turn = this.#last.then(() => this.#commit(messages));
    this.#last = turn.catch(() => undefined);
    await turn;
  }

  /** A transaction that has no answer yet fails with ECANCELED; later ones too. */
  close(): void {
    this.#closed = true;
    this.#fail(this.#raw, 'ECANCELED');
  }

  async #commit(messages: readonly NfMessage[]): Promise<void> {
    const raw = await this.#open();
    const firstSequence = (this.#sequence + 1) >>> 0;
    const datagram = this.#encode(messages);
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => this.#fail(raw, 'ETIMEDOUT'), timeoutMs);
      const end = (error?: NetlinkError): void => {
        this.#now = undefined;
        clearTimeout(timer);
        raw.unref();
        if (error === undefined) resolve();
        else reject(error);
      };
      this.#now = { messages, firstSequence, refused: new Map(), end };
      raw.ref();
      raw.send(datagram, undefined, (error) => {
        if (error !== undefined) this.#fail(raw, error.code);
      });
    });
  }

  async #open(): Promise<RawNetlinkSocket> {
    const listeners: RawSocketListeners = {
      onDatagram: (datagram) => readAnswers(datagram, (sequence, errno) => this.#take(sequence, errno)),
      onError: (raw, code) => this.#fail(raw, code),
    };
    this.#raw ??= await openRawSocket(netlinkProtocols.netfilter, listeners, this.sizes);
    if (!this.#closed) return this.#raw;
    this.#raw.close();
    throw new NetlinkError('ECANCELED', 0);
  }

  /** Errors come without being asked for; the ack of the last message says that all is done. */
  #encode(messages: readonly NfMessage[]): Buffer {
    const { request, ack } = messageFlags;
    const begin = this.#message({ type: batch.begin, flags: request, payload: ofNfTables }, this.#sequence);
    const parts = messages.map((message, i) => {
      this.#sequence = (this.#sequence + 1) >>> 0;
      const flags = (message.flags ?? 0) | request | (i === messages.length - 1 ? ack : 0);
      return this.#message({ ...message, flags }, this.#sequence);
    });
    this.#sequence = (this.#sequence + 1) >>> 0;
    const end = this.#message({ type: batch.end, flags: request, payload: ofNfTables }, this.#sequence);
    this.#sequence = (this.#sequence + 1) >>> 0;
    return Buffer.concat([begin, ...parts, end]);
  }

  #message({ type, flags = 0, payload }: NfMessage, sequence: number): Buffer {
    const message = Buffer.alloc((headerBytes + payload.length + 3) & ~3);
    message.writeUInt32LE(headerBytes + payload.length, 0);
    message.writeUInt16LE(type, 4);
    message.writeUInt16LE(flags, 6);
    message.writeUInt32LE(sequence, 8);
    message.set(payload, headerBytes);
    return message;
  }

  #take(sequence: number, errno: number): void {
    const now = this.#now;
    if (now === undefined) return;
    const { messages, firstSequence, refused, end } = now;
    const type = messages[0]?.type ?? 0;
    const index = (sequence - firstSequence) | 0;
    // An error of the begin or of the end is about the transaction as a whole.
    if (index < 0 || index >= messages.length) {
      if (errno < 0) end(new NfTransactionError(getSystemErrorName(errno), type, new Map()));
      return;
    }
    if (errno < 0) refused.set(index, getSystemErrorName(errno));
    if (index < messages.length - 1) return;
    const [first] = refused;
    if (first === undefined) end();
    else end(new NfTransactionError(first[1], messages[first[0]]?.type ?? type, refused));
  }

  /** Drops the socket: answers that come later must not meet the next transaction. */
  #fail(raw: RawNetlinkSocket | undefined, code: string): void {
    if (raw === undefined || raw !== this.#raw) return;
    this.#raw = undefined;
    this.#now?.end(new NetlinkError(code, this.#now.messages[0]?.type ?? 0));
    // Not inside the addon's own callback, which goes on to use the socket.
    setImmediate(() => raw.close());
  }
}

/** One transaction by a socket of its own. Throws as NfTransactions does. */
export async function commitTransaction(messages: readonly NfMessage[]): Promise<void> {
  const transactions = new NfTransactions();
  try {
    await transactions.commit(messages);
  } finally {
    transactions.close();
  }
}
