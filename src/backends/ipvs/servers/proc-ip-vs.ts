/**
 * /proc/net/ip_vs: every virtual server of the network namespace with its destinations, many times faster than by netlink or ipvsadm.
 *
 *   TCP  0A60000A:0050 rr  persistent 1080000 FFFFFFFF
 *     -> 0AF40102:1F90      Masq    1      0          0
 *   UDP  [fd00:0096:0000:0000:0000:0000:0000:000a]:0035 rr
 *   FWM  00100001 sh
 *
 * It does not tell the flags of schedulers (`-b`) at all, nor `-o` of IPv6 servers; persistence is in ticks, of which a second has
 * as many as the kernel was built for (CONFIG_HZ).
 *
 * The kernel hands it out a page at a time and counts lines from the start for each: where somebody writes meanwhile, a page may
 * begin a line early or late. What is wrong then is right at the next time, so every write has to bear such a mistake.
 */
import { type Family, formatAddress, joinHostPort } from '../../../model/address';
import type { DestinationState } from './driver-messages';

export interface ProcServer {
  readonly scheduler: string;
  readonly onePacket: boolean;
  /** 0: no persistence. */
  readonly persistenceTicks: number;
  /** As in ServerOptions. */
  readonly persistenceMask?: string;
  /**
   * A newline and `address:port weight` each, sorted: what follows the options in a server's text. Destinations that are not
   * masqueraded to, and so not ours, have the kernel's word for it behind their weight.
   */
  readonly destinations: string;
}

/** A destination of weight 0: new connections pass it by. */
export interface Resting extends DestinationState {
  readonly server: string;
}

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

/** In the order of bytes of the machine: 128, of IPv6, is 80000000. */
const wholeAddressMasks = new Set(['FFFFFFFF', '80000000']);

function parseMask(hex: string, isIPv6: boolean): string {
  const value = parseInt(hex, 16);
  return isIPv6 ? (value >>> 24).toString() : formatAddress('IPv4', BigInt(value));
}

/**
 * Takes the file in pieces, wherever they are cut, and tells the servers of one family, and every mark's: the file does not tell
 * whose those are.
 */
export class ProcIpVsParser {
  /** Destinations of weight 0 so far. */
  readonly resting: Resting[] = [];
  /** Lines of servers: their addresses begin with a bracket, or do not. */
  readonly #wanted: RegExp;
  readonly #onServer: (server: string, seen: ProcServer) => void;
  #hasBegun = false;
  #rest = '';
  #server = '';
  /** Of #server, without its destinations. */
  #head: Omit<ProcServer, 'destinations'> | undefined;
  #lines: string[] = [];

  constructor(family: Family, onServer: (server: string, seen: ProcServer) => void) {
    this.#wanted = family === 'IPv4' ? /^(?:FWM|(?:TCP|UDP|SCTP) +\w)/ : /^(?:FWM|(?:TCP|UDP|SCTP) +\[)/;
    this.#onServer = onServer;
  }

  /** The kernel begins with a title, also where there is no server. */
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

  /** The file has ended. */
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
