/** Sockets of this network namespace that accept traffic from others. */
import { type Family, formatAddress } from '../model/address';
import { type Unknown, unknown } from '../model/answer';
import { errorCode } from '../model/error-message';
import { readProcFile } from './proc-file';

export interface OpenSocket {
  readonly protocol: 'TCP' | 'UDP';
  readonly family: Family;
  /** Canonical; a wildcard is `0.0.0.0` or `::`. */
  readonly address: string;
  readonly port: number;
}

const states = { TCP: '0A', UDP: '07' } as const; // TCP_LISTEN; TCP_CLOSE: a UDP socket that is not connected

/** Parses a table of /proc/net: TCP sockets that listen, and UDP sockets that are not connected. */
export function parseSockets(text: string, protocol: OpenSocket['protocol'], family: Family): OpenSocket[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local = '', , state = ''] = line.trim().split(/\s+/);
      const [hex = '', port = ''] = local.split(':');
      if (state !== states[protocol]) return [];
      return [{ protocol, family, address: addressOf(hex, family), port: Number.parseInt(port, 16) }];
    });
}

/** The text has words of 32 bits in the machine's byte order, which is taken to be little-endian. */
function addressOf(hex: string, family: Family): string {
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) => (word.match(/../g) ?? []).reverse());
  return formatAddress(family, BigInt(`0x${bytes.join('')}`));
}

export interface OpenSockets {
  readonly sockets: readonly OpenSocket[];
  /** Why the list may be incomplete. */
  readonly unread?: Unknown;
}

/** A family or protocol that the kernel does not have counts as one without sockets. */
export async function readOpenSockets(): Promise<OpenSockets> {
  const tables = [
    ['tcp', 'TCP', 'IPv4'],
    ['tcp6', 'TCP', 'IPv6'],
    ['udp', 'UDP', 'IPv4'],
    ['udp6', 'UDP', 'IPv6'],
  ] as const;
  const sockets: OpenSocket[] = [];
  let unread: Unknown | undefined;
  for (const [file, protocol, family] of tables) {
    let text = '';
    try {
      await readProcFile(`/proc/net/${file}`, (piece) => (text += piece));
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') unread = unknown(error);
    }
    sockets.push(...parseSockets(text, protocol, family));
  }
  return { sockets, ...(unread && { unread }) };
}
