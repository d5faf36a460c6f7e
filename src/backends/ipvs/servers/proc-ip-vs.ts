/**
 * Reads /proc/net/ip_vs: every virtual server of the network namespace with its destinations. This is many times faster than netlink or
 * ipvsadm.
 *
 *   TCP  0A60000A:0050 rr  persistent 1080000 FFFFFFFF
 *     -> 0AF40102:1F90      Masq    1      0          0
 *   UDP  [fd00:0096:0000:0000:0000:0000:0000:000a]:0035 rr
 *   FWM  00100001 sh
 *
 * The file does not tell the flags of schedulers (`-b`), nor `-o` of IPv6 servers. Persistence is in ticks, and the number of ticks in
 * a second is a constant of the kernel's build (CONFIG_HZ).
 *
 * The kernel gives out one page at a time, and for each page it counts lines from the start. When somebody writes meanwhile, a page may
 * begin one line early or late. The next read is right again, so every write has to cope with such a mistake.
 */
import { type Family, formatAddress, joinHostPort } from '../../../model/address';
import type { DestinationState } from './driver-messages';
import type { ServerDestination } from './virtual-server';

export interface ProcServer {
  readonly scheduler: string;
  readonly onePacket: boolean;
  /** 0 without persistence. */
  readonly persistenceTicks: number;
  /** As in ServerOptions. */
  readonly persistenceMask?: string;
  /**
   * What follows the options in a server's text: for each destination a newline and `address:port weight`, sorted. Destinations with
   * other forwarding than masquerading are not ours. They have the kernel's word for it after their weight.
   */
  readonly destinations: string;
}

/** A destination of weight 0. It gets no new connections. */
export interface Resting extends DestinationState, ServerDestination {}

const octets = Array.from({ length: 256 }, (_, i) => i.toString());

/** `0A60000A:0050` or `[fd00:0096:...:000a]:0050`. */
function parseEnd(text: string): string {
  const port = parseInt(text.slice(-4), 16);
  if (text.startsWith('[')) {
    const hex = text.slice(1, -6).replaceAll(':', '');
    return joinHostPort(formatAddress('IPv6', BigInt(`0x${hex}`)), port);
  }
  const address = parseInt(text.slice(0, 8), 16);
  return `${octets[address >>> 24]}.${octets[(address >>> 16) & 0xff]}.${octets[(address >>> 8) & 0xff]}.${octets[address & 0xff]}:${port}`;
}

/** In the machine's byte order: a prefix length of 128 (IPv6) is 80000000. */
const wholeAddressMasks = new Set(['FFFFFFFF', '80000000']);

function parseMask(hex: string, isIPv6: boolean): string {
  const value = parseInt(hex, 16);
  return isIPv6 ? (value >>> 24).toString() : formatAddress('IPv4', BigInt(value));
}

/**
 * Takes the file in pieces, which may be cut anywhere. It reports the servers of one family, and all servers by mark, because the file
 * does not tell their family.
 */
export class ProcIpVsParser {
  /** Destinations of weight 0 so far. */
  readonly resting: Resting[] = [];
  /** Matches the lines of this family's servers. IPv6 addresses begin with a bracket. */
  readonly #wanted: RegExp;
  readonly #onServer: (server: string, seen: ProcServer) => void;
  #hasBegun = false;
  #rest = '';
  #server = '';
  /** What is known of #server, without its destinations. */
  #head: Omit<ProcServer, 'destinations'> | undefined;
  #lines: string[] = [];

  constructor(family: Family, onServer: (server: string, seen: ProcServer) => void) {
    this.#wanted = family === 'IPv4' ? /^(?:FWM|(?:TCP|UDP|SCTP) +\w)/ : /^(?:FWM|(?:TCP|UDP|SCTP) +\[)/;
    this.#onServer = onServer;
  }

  /** Whether anything came. The kernel prints a title even when there is no server. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  push(piece: string): void {
    if (piece !== '') this.#hasBegun = true;
    const text = this.#rest + piece;
    let start = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
      this.#takeLine(text.slice(start, end));
      start = end + 1;
    }
    this.#rest = text.slice(start);
  }

  /** To be called at the end of the file. */
  end(): void {
    this.#endServer();
  }

  #takeLine(line: string): void {
    if (line.startsWith('  -> ')) this.#takeDestination(line);
    else {
      this.#endServer();
      if (this.#wanted.test(line)) this.#startServer(line);
    }
  }

  #startServer(line: string): void {
    const [kind = '', end = '', scheduler = '', ...options] = line.trimEnd().split(/ +/);
    this.#server = kind === 'FWM' ? `FWM ${parseInt(end, 16)}` : `${kind} ${parseEnd(end)}`;
    const at = options.indexOf('persistent');
    const [ticks, mask = ''] = at < 0 ? [] : options.slice(at + 1);
    const isWhole = ticks === undefined || wholeAddressMasks.has(mask);
    this.#head = {
      scheduler,
      onePacket: options.includes('ops'),
      persistenceTicks: Number(ticks ?? 0),
      ...(isWhole ? {} : { persistenceMask: parseMask(mask, end.startsWith('[')) }),
    };
  }

  #takeDestination(line: string): void {
    if (this.#head === undefined) return;
    const [, , end = '', forwarding = '', weight = '', active, inactive] = line.split(/ +/);
    const destination = parseEnd(end);
    this.#lines.push(`\n${destination} ${weight}${forwarding === 'Masq' ? '' : ` ${forwarding}`}`);
    if (weight === '0')
      this.resting.push({
        server: this.#server,
        destination,
        weight: 0,
        connections: Number(active) + Number(inactive),
      });
  }

  #endServer(): void {
    if (this.#head === undefined) return;
    const destinations = this.#lines.length > 1 ? this.#lines.sort().join('') : (this.#lines[0] ?? '');
    this.#onServer(this.#server, { ...this.#head, destinations });
    this.#head = undefined;
    this.#lines = [];
  }
}
