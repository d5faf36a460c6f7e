/** Requests and dumps over a netlink socket, through the raw socket of the `netlink` addon. */
import type { RawNetlinkSocket } from 'netlink/dist/raw';
import { getSystemErrorName } from 'node:util';
import { NetlinkError, openRawSocket, type RawSocketListeners, type RawSocketSizes } from './netlink-addon';

export { NetlinkError, NetlinkUnavailableError } from './netlink-addon';

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  /** What follows the netlink header. It is part of a receive buffer, so copy what you keep. */
  readonly payload: Buffer;
}

export const netlinkProtocols = { route: 0, netfilter: 12, generic: 16 } as const;

export const messageFlags = { request: 1, ack: 4, dumpInterrupted: 0x10, dump: 0x300 } as const;
export const controlMessages = { error: 2, done: 3 } as const;
export const headerBytes = 16;
const sendBytes = 64 * 1024;
/**
 * The most requests without an answer. If the receive queue overflows, the addon aborts the process, so few acks may wait in it. Dumps
 * cannot overflow it: the kernel waits for room.
 */
export const mostInFlight = 128;
const mostDumpAttempts = 10;

interface Request {
  readonly type: number;
  readonly flags: number;
  readonly payload: Uint8Array;
  readonly isDump: boolean;
  readonly timeoutMs: number;
  readonly onMessage: (message: NetlinkMessage) => void;
}

interface Pending extends Request {
  readonly resolve: (dump: { interrupted: boolean }) => void;
  readonly reject: (error: unknown) => void;
  /** Only the last message of a datagram has it. Its ack stands for all messages of the datagram. */
  timer?: NodeJS.Timeout;
  interrupted: boolean;
  /** What onMessage threw. The rest of the answer is still read from the socket. */
  failure?: { readonly error: unknown };
}

/**
 * One socket for one purpose. It is opened at the first request, in the network namespace of that moment, and again after an error of
 * the socket itself. Between requests it does not keep the process alive.
 */
export class NetlinkSocket {
  #raw: RawNetlinkSocket | undefined;
  #opening: Promise<void> | undefined;
  #sequence = 0;
  readonly #waiting: Pending[] = [];
  readonly #inFlight = new Map<number, Pending>();
  #lastDump: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(
    readonly protocol: number,
    readonly sizes: RawSocketSizes = {},
  ) {}

  /**
   * Resolves at the kernel's ack with the messages that came before it. Requests that are made together are sent together, at most
   * 128 at a time. Throws NetlinkError, or NetlinkUnavailableError.
   */
  async request(type: number, flags: number, payload: Uint8Array, timeoutMs = 5_000): Promise<NetlinkMessage[]> {
    const answer: NetlinkMessage[] = [];
    const onMessage = (message: NetlinkMessage): number => answer.push(message);
    await this.#enqueue({ type, flags, payload, isDump: false, timeoutMs, onMessage });
    return answer;
  }

  /**
   * Calls onMessage for the messages of a dump as they come. A socket runs one dump at a time. Resolves with `interrupted` where the
   * kernel's table changed meanwhile, so that entries may be missing. Throws as request does, and what onMessage throws.
   */
  dump(
    type: number,
    payload: Uint8Array,
    onMessage: (message: NetlinkMessage) => void,
    timeoutMs = 30_000,
  ): Promise<{ interrupted: boolean }> {
    const dump = this.#lastDump.then(() =>
      this.#enqueue({ type, flags: 0, payload, isDump: true, timeoutMs, onMessage }),
    );
    this.#lastDump = dump.catch(() => undefined);
    return dump;
  }

  /** Every message of a dump, decoded. An interrupted dump is repeated. Throws EINTR where every attempt is interrupted. */
  async dumpAll<T>(type: number, payload: Uint8Array, decode: (payload: Buffer) => T | undefined): Promise<T[]> {
    for (let attempt = 1; ; attempt++) {
      const all: T[] = [];
      const { interrupted } = await this.dump(type, payload, (message) => {
        const decoded = decode(message.payload);
        if (decoded !== undefined) all.push(decoded);
      });
      if (!interrupted) return all;
      if (attempt === mostDumpAttempts) throw new NetlinkError('EINTR', type);
    }
  }

  /** Requests that have no answer yet fail with ECANCELED, and so do later ones. */
  close(): void {
    this.#closed = true;
    this.#fail(this.#raw, 'ECANCELED');
  }

  async #enqueue(request: Request): Promise<{ interrupted: boolean }> {
    if (!this.#closed && this.#raw === undefined)
      await (this.#opening ??= this.#open().finally(() => (this.#opening = undefined)));
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(new NetlinkError('ECANCELED', request.type));
        return;
      }
      if (this.#waiting.push({ ...request, resolve, reject, interrupted: false }) === 1)
        queueMicrotask(() => this.#send());
    });
  }

  async #open(): Promise<void> {
    const listeners: RawSocketListeners = {
      onDatagram: (datagram) => this.#receive(datagram),
      onError: (failed, code) => this.#fail(failed, code),
    };
    const raw = await openRawSocket(this.protocol, listeners, this.sizes);
    if (this.#closed) raw.close();
    else this.#raw = raw;
  }

  /**
   * Sends what may be sent, with many messages per datagram. The kernel takes them in order and reports every error, so the ack of a
   * datagram's last message says that all of them are done.
   */
  #send(): void {
    const raw = this.#raw;
    if (raw === undefined) {
      for (const pending of this.#waiting.splice(0)) pending.reject(new NetlinkError('ENOTCONN', pending.type));
      return;
    }
    while (this.#waiting.length > 0 && this.#inFlight.size < mostInFlight) {
      const datagram = this.#takeDatagram();
      if (this.#inFlight.size === 0) raw.ref();
      const messages = datagram.map((pending, i) => this.#encode(pending, i === datagram.length - 1));
      raw.send(messages, undefined, (error) => {
        if (error !== undefined) this.#fail(raw, error.code);
      });
    }
  }

  /** A dump is sent alone: its answer comes piece by piece, after the answers to others. */
  #takeDatagram(): Pending[] {
    const room = mostInFlight - this.#inFlight.size;
    let bytes = 0;
    let length = 0;
    for (const { isDump, payload } of this.#waiting) {
      bytes += headerBytes + payload.length;
      if (length > 0 && (isDump || length === room || bytes > sendBytes)) break;
      length++;
      if (isDump) break;
    }
    return this.#waiting.splice(0, length);
  }

  #encode(pending: Pending, last: boolean): Buffer {
    this.#sequence = (this.#sequence + 1) >>> 0;
    const { type, flags, payload, isDump } = pending;
    const message = Buffer.alloc((headerBytes + payload.length + 3) & ~3);
    message.writeUInt32LE(headerBytes + payload.length, 0);
    message.writeUInt16LE(type, 4);
    message.writeUInt16LE(flags | messageFlags.request | (isDump ? messageFlags.dump : last ? messageFlags.ack : 0), 6);
    message.writeUInt32LE(this.#sequence, 8);
    message.set(payload, headerBytes);
    this.#inFlight.set(this.#sequence, pending);
    // After the limit, late answers must not be taken for those of the next dump. Only a new socket makes sure of that.
    if (last) pending.timer = setTimeout(() => this.#fail(this.#raw, 'ETIMEDOUT'), pending.timeoutMs);
    return message;
  }

  #receive(datagram: Buffer): void {
    for (let at = 0; at + headerBytes <= datagram.length; ) {
      const length = datagram.readUInt32LE(at);
      if (length < headerBytes || at + length > datagram.length) break;
      const sequence = datagram.readUInt32LE(at + 8);
      const pending = this.#inFlight.get(sequence);
      if (pending !== undefined) {
        const type = datagram.readUInt16LE(at + 4);
        const flags = datagram.readUInt16LE(at + 6);
        const payload = datagram.subarray(at + headerBytes, at + length);
        this.#take(sequence, pending, { type, flags, payload });
      }
      at += (length + 3) & ~3;
    }
  }

  #take(sequence: number, pending: Pending, message: NetlinkMessage): void {
    const { type, flags, payload } = message;
    if ((flags & messageFlags.dumpInterrupted) !== 0) pending.interrupted = true;
    if (type !== controlMessages.error && type !== controlMessages.done) {
      if (pending.failure !== undefined) return;
      try {
        pending.onMessage(message);
      } catch (error) {
        pending.failure = { error };
      }
      return;
    }
    if (pending.timer !== undefined && !pending.isDump) {
      for (const [earlier, done] of this.#inFlight) {
        if (earlier === sequence) break;
        if (!done.isDump) this.#settle(earlier, done, 0);
      }
    }
    this.#settle(sequence, pending, payload.length >= 4 ? payload.readInt32LE(0) : 0);
    if (this.#inFlight.size === 0) this.#raw?.unref();
    if (this.#waiting.length > 0) queueMicrotask(() => this.#send());
  }

  #settle(sequence: number, pending: Pending, errno: number): void {
    clearTimeout(pending.timer);
    this.#inFlight.delete(sequence);
    if (errno < 0) pending.reject(new NetlinkError(getSystemErrorName(errno), pending.type));
    else if (pending.failure !== undefined) pending.reject(pending.failure.error);
    else pending.resolve({ interrupted: pending.interrupted });
  }

  /** Drops the socket: requests that wait for an answer fail, and the next request opens another socket. */
  #fail(raw: RawNetlinkSocket | undefined, code: string): void {
    if (raw === undefined || raw !== this.#raw) return;
    this.#raw = undefined;
    const lost = [...this.#inFlight.values(), ...this.#waiting.splice(0)];
    this.#inFlight.clear();
    for (const pending of lost) {
      clearTimeout(pending.timer);
      pending.reject(new NetlinkError(code, pending.type));
    }
    // Not inside the addon's own callback, which still uses the socket.
    setImmediate(() => raw.close());
  }
}
