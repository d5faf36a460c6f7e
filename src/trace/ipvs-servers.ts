/**
 * Reads virtual servers as `ipvsadm -Sn` prints them:
 *
 *   -A -t 10.96.0.10:80 -s rr -p 10800
 *   -a -t 10.96.0.10:80 -r 10.244.1.2:8080 -m -w 1
 *   -A -f 4526 -s rr
 */
import { parseAddress } from '../model/address';
import type { ProtocolName } from '../model/protocol';

export interface IpvsDestination {
  readonly address: string;
  readonly port: number;
  /** 0: it gets no new connections. */
  readonly weight: number;
}

export interface IpvsServer {
  /** Undefined if the server is found by the packet's mark. */
  readonly end?: { readonly protocol: ProtocolName; readonly address: string; readonly port: number };
  readonly scheduler: string;
  /** 0: none. */
  readonly persistenceSeconds: number;
  readonly destinations: IpvsDestination[];
  /** `-s rr -p 10800` */
  readonly options: string;
}

/** The virtual servers by their keys: `tcp 10.96.0.10:80` or `mark 4526`. */
export type IpvsServers = ReadonlyMap<string, IpvsServer>;

const protocols: Readonly<Record<string, ProtocolName>> = {
  '-t': 'tcp',
  '--tcp-service': 'tcp',
  '-u': 'udp',
  '--udp-service': 'udp',
  '--sctp-service': 'sctp',
};
const defaultPersistenceSeconds = 300;

function splitHostPort(text: string): { readonly address: string; readonly port: number } {
  const colon = text.lastIndexOf(':');
  return { address: text.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(text.slice(colon + 1)) };
}

function optionOf(words: readonly string[], name: string): string | undefined {
  const at = words.indexOf(name);
  return at < 0 ? undefined : words[at + 1];
}

/** Returns the seconds of `-p`, the default if the option has no value, or 0 if the option is missing. */
function secondsOf(words: readonly string[]): number {
  const at = words.indexOf('-p');
  if (at < 0) return 0;
  return Number(words[at + 1]) || defaultPersistenceSeconds;
}

/** Ignores lines of other kinds. */
export function parseIpvsServers(text: string): IpvsServers {
  const servers = new Map<string, IpvsServer>();
  for (const line of text.split('\n')) {
    const [command, kind = '', name = '', ...rest] = line.trim().split(/ +/);
    const protocol = protocols[kind];
    const key = protocol === undefined ? `mark ${Number(name)}` : `${protocol} ${name}`;
    if (command === '-A') {
      const end = protocol === undefined ? {} : { end: { protocol, ...splitHostPort(name) } };
      const [scheduler, options] = [optionOf(rest, '-s') ?? 'wlc', rest.join(' ')];
      servers.set(key, { ...end, scheduler, persistenceSeconds: secondsOf(rest), destinations: [], options });
    } else if (command === '-a') {
      const to = optionOf(rest, '-r');
      const weight = Number(optionOf(rest, '-w') ?? 1);
      if (to !== undefined) servers.get(key)?.destinations.push({ ...splitHostPort(to), weight });
    }
  }
  return servers;
}

/** Reads what `ip -o address show dev kube-ipvs0` prints. The addresses are canonical and of both families. */
export function parseBoundAddresses(text: string): string[] {
  return [...text.matchAll(/^.*\bkube-ipvs0\b.* inet6? ([\da-f.:]+)\//gm)].flatMap(
    ([, address = '']) => parseAddress(address) ?? [],
  );
}
