/** The raw socket of the `netlink` addon: how it is opened, and how it fails. */
import type { RawNetlinkSocket } from 'netlink/dist/raw';
import { closeSync, openSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import { messageOf } from '../model/error-message';

/** The `netlink` addon's errors have errno besides Node's usual fields. */
function errnoOf(error: unknown): number {
  const isObject = typeof error === 'object' && error !== null;
  return isObject && 'errno' in error && typeof error.errno === 'number' ? error.errno : 0;
}

/** The addon has no prebuilt file for this machine, or the kernel has no such netlink protocol. */
export class NetlinkUnavailableError extends Error {
  override readonly name = 'NetlinkUnavailableError';
}

/** The kernel refused a request, or did not answer it. */
export class NetlinkError extends Error {
  override readonly name = 'NetlinkError';
  constructor(
    /** The name of errno, such as `ENOENT`; `ETIMEDOUT` where no answer came. */
    readonly code: string,
    request: number,
  ) {
    super(`netlink request 0x${request.toString(16)}: ${code}`);
  }
}

/** The addon takes 32 parts of a dump before the event loop goes on: with 8 KiB that is about 1,500 flows of conntrack. */
const defaultPartBytes = 8 * 1024;
/** Large enough for all acks that may wait in the queue at a time: if it overflows, the addon aborts the process. */
const defaultQueueBytes = 4 << 20;

const passingCodes: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'ENOBUFS', 'EAGAIN']);

/** Returns the name of errno where the failure will pass, so that it says nothing about the addon. */
function passingCode(error: unknown): string | undefined {
  if (/Too many open files/i.test(messageOf(error))) return 'EMFILE';
  const errno = errnoOf(error);
  const name = errno === 0 ? '' : getSystemErrorName(-Math.abs(errno));
  return passingCodes.has(name) ? name : undefined;
}

/** If the addon's loader cannot open a folder, it reports that there is no file for this machine. Returns why no file can be opened. */
function openingCode(): string | undefined {
  try {
    closeSync(openSync(process.execPath, 'r'));
    return undefined;
  } catch (error) {
    return passingCode(error);
  }
}

/** The listeners must not throw: that would abort the process. */
export interface RawSocketListeners {
  /** Called for the kernel's datagrams. */
  readonly onDatagram: (datagram: Buffer) => void;
  readonly onError: (raw: RawNetlinkSocket, code: string) => void;
}

export interface RawSocketSizes {
  /** Of the receive and the send queue, which the kernel limits to net.core.rmem_max and wmem_max. Default: 4 MiB. */
  readonly queueBytes?: number;
  /** The most that the kernel puts into one part of a dump, at most 32 KiB. Default: 8 KiB. */
  readonly partBytes?: number;
}

/** Opens a socket that does not keep the process alive. Throws NetlinkError, or NetlinkUnavailableError where the addon cannot load. */
export async function openRawSocket(
  protocol: number,
  listeners: RawSocketListeners,
  { queueBytes = defaultQueueBytes, partBytes = defaultPartBytes }: RawSocketSizes = {},
): Promise<RawNetlinkSocket> {
  try {
    const { RawNetlinkSocket } = await import('netlink/dist/raw');
    const raw = new RawNetlinkSocket(protocol, {
      messagePeeking: false,
      msgBufferSize: partBytes,
      recvBufferSize: queueBytes,
      sendBufferSize: queueBytes,
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
