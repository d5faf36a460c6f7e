/** Sends tens of thousands of requests, one datagram at a time, written in place, without allocating anything for each request. */
import type { RawNetlinkSocket } from 'netlink/dist/raw';
import { getSystemErrorName } from 'node:util';
import { headerBytes, messageFlags, mostInFlight } from './netlink';
import { NetlinkError, openRawSocket } from './netlink-addon';
import { readAnswers } from './netlink-answers';

/** The most requests in one datagram. More errors than this might overflow the receive queue, which aborts the process. */
export const mostInBatch = mostInFlight;

/** Writes the payload of the request with this index at `at`, which is 4-byte aligned, and returns where it ends. */
export type EncodeRequest = (index: number, message: Buffer, at: number) => number;

/** The requests of one datagram. */
interface Requests {
  readonly type: number;
  readonly flags: number;
  readonly count: number;
  readonly encode: EncodeRequest;
}

interface Batch {
  readonly type: number;
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly refused: Map<number, string>;
  readonly resolve: (refused: ReadonlyMap<number, string>) => void;
  readonly reject: (error: unknown) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * One socket, for requests that the kernel only accepts or refuses. It is opened at the first batch, in the network namespace of that
 * moment, and again after an error of the socket itself. One batch is sent at a time.
 */
export class NetlinkBatch {
  #raw: RawNetlinkSocket | undefined;
  #batch: Batch | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #sequence = 0;
  #closed = false;
  readonly #datagram: Buffer;

  constructor(
    readonly protocol: number,
    /** The length of the longest payload, in bytes. */
    readonly longestPayload: number,
  ) {
    this.#datagram = Buffer.alloc(mostInBatch * (headerBytes + longestPayload));
  }

  /**
   * Sends at most mostInBatch requests of one type, which the kernel takes in order. Resolves with the requests that it refused: the
   * index, and the name of errno. The others are done. Throws NetlinkUnavailableError, or NetlinkError where it is not known which
   * requests are done.
   */
  send(
    type: number,
    count: number,
    encode: EncodeRequest,
    { flags = 0, timeoutMs = 5_000 }: { readonly flags?: number; readonly timeoutMs?: number } = {},
  ): Promise<ReadonlyMap<number, string>> {
    if (count > mostInBatch) throw new RangeError(`${count} requests are too many for one batch`);
    const turn = this.#last.then(() => this.#sendNow({ type, flags, count, encode }, timeoutMs));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** A batch that has no answer yet fails with ECANCELED, and so do later ones. */
  close(): void {
    this.#closed = true;
    this.#fail(this.#raw, 'ECANCELED');
  }

  async #sendNow(requests: Requests, timeoutMs: number): Promise<ReadonlyMap<number, string>> {
    const { type, count } = requests;
    if (count === 0) return new Map();
    const raw = await this.#open();
    const firstSequence = (this.#sequence + 1) >>> 0;
    const end = this.#encode(requests);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#fail(raw, 'ETIMEDOUT'), timeoutMs);
      const lastSequence = this.#sequence;
      this.#batch = { type, firstSequence, lastSequence, refused: new Map(), resolve, reject, timer };
      raw.ref();
      raw.send(this.#datagram.subarray(0, end), undefined, (error) => {
        if (error !== undefined) this.#fail(raw, error.code);
      });
    });
  }

  async #open(): Promise<RawNetlinkSocket> {
    this.#raw ??= await openRawSocket(this.protocol, {
      onDatagram: (datagram) => readAnswers(datagram, (sequence, errno) => this.#take(sequence, errno)),
      onError: (raw, code) => this.#fail(raw, code),
    });
    if (!this.#closed) return this.#raw;
    this.#raw.close();
    throw new NetlinkError('ECANCELED', 0);
  }

  /** Returns where the datagram ends. The kernel always reports errors. The ack of the last request says that all were handled. */
  #encode({ type, flags, count, encode }: Requests): number {
    const datagram = this.#datagram;
    let at = 0;
    for (let i = 0; i < count; i++) {
      const end = encode(i, datagram, at + headerBytes);
      datagram.writeUInt32LE(end - at, at);
      datagram.writeUInt16LE(type, at + 4);
      datagram.writeUInt16LE(flags | messageFlags.request | (i === count - 1 ? messageFlags.ack : 0), at + 6);
      this.#sequence = (this.#sequence + 1) >>> 0;
      datagram.writeUInt32LE(this.#sequence, at + 8);
      datagram.writeUInt32LE(0, at + 12);
      at = (end + 3) & ~3;
    }
    return at;
  }

  #take(sequence: number, errno: number): void {
    const batch = this.#batch;
    if (batch === undefined) return;
    if (errno < 0) batch.refused.set((sequence - batch.firstSequence) >>> 0, getSystemErrorName(errno));
    if (sequence !== batch.lastSequence) return;
    this.#batch = undefined;
    clearTimeout(batch.timer);
    this.#raw?.unref();
    batch.resolve(batch.refused);
  }

  /** Drops the socket, so that late answers are not taken for answers to the next batch. */
  #fail(raw: RawNetlinkSocket | undefined, code: string): void {
    if (raw === undefined || raw !== this.#raw) return;
    this.#raw = undefined;
    const batch = this.#batch;
    this.#batch = undefined;
    if (batch !== undefined) {
      clearTimeout(batch.timer);
      batch.reject(new NetlinkError(code, batch.type));
    }
    // Not inside the addon's own callback, which still uses the socket.
    setImmediate(() => raw.close());
  }
}
