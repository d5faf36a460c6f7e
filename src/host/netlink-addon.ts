/** The raw socket of the `netlink` addon: how it is opened, and how it fails. */
import type { RawNetlinkSocket } from 'netlink/dist/raw';
import { closeSync, openSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import { messageOf } from '../model/error-message';

/** The addon has no prebuilt file for this machine, or the kernel has no such netlink protocol. */
export class NetlinkUnavailableError extends Error {
  override readonly name = 'NetlinkUnavailableError';
}

/** The kernel refused a request, or did not answer it. */
export class NetlinkError extends Error {
  override readonly name = 'NetlinkError';
  constructor(
    /** errno's name, as `ENOENT`; `ETIMEDOUT` where no answer came. */
    readonly code: string,
    request: number,
  ) {
    super(`netlink request 0x${request.toString(16)}: ${code}`);
  }
}

/**
 * What the kernel fills at most in one part of a dump. The addon takes 32 parts before the event loop goes on: with 8 KiB
 * that is some 1,500 flows of conntrack.
 */
const receiveBytes = 8 * 1024;
/** Large enough for all acks that may wait in it at a time: one that overflows makes the addon abort the process. */
const receiveQueueBytes = 4 << 20;

const passingCodes: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'ENOBUFS', 'EAGAIN']);

/** errno's name where it is a failure that passes, which says nothing about the addon. */
function passingCode(error: unknown): string | undefined {
  const { errno, message = '' } = error as Partial<NodeJS.ErrnoException>;
  if (/Too many open files/i.test(message)) return 'EMFILE';
  const name = errno === undefined || errno === 0 ? '' : getSystemErrorName(-Math.abs(errno));
  return passingCodes.has(name) ? name : undefined;
}

/** The addon's loader takes a folder that it cannot open for one without a file for this machine. */
function openingCode(): string | undefined {
  try {
    closeSync(openSync(process.execPath, 'r'));
    return undefined;
  } catch (error) {
    return passingCode(error);
  }
}

/** A listener that throws would abort the process. */
export interface RawSocketListeners {
  /** Of the kernel's. */
  readonly onDatagram: (datagram: Buffer) => void;
  readonly onError: (raw: RawNetlinkSocket, code: string) => void;
}

/** A socket that does not keep the process alive. Throws NetlinkUnavailableError. */
export async function openRawSocket(protocol: number, listeners: RawSocketListeners): Promise<RawNetlinkSocket> {
  try {
    const { RawNetlinkSocket } = await import('netlink/dist/raw');
    const raw = new RawNetlinkSocket(protocol, {
      messagePeeking: false,
      msgBufferSize: receiveBytes,
      recvBufferSize: receiveQueueBytes,
      sendBufferSize: receiveQueueBytes,
    });
    raw.on('message', (datagram, { port }) => {
      if (port === 0) listeners.onDatagram(datagram);
    });
    raw.on('truncatedMessage', () => listeners.onError(raw, 'EMSGSIZE'));
    raw.on('error', ({ code }) => listeners.onError(raw, code));
    raw.unref();
    return raw;
  } catch (error) {
    const code = passingCode(error) ?? openingCode();
    if (code !== undefined) throw new NetlinkError(code, protocol);
    const message = messageOf(error);
    throw new NetlinkUnavailableError(message, { cause: error });
  }
}
