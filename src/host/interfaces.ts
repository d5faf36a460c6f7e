/** The addresses of this network namespace. */
import { access } from 'node:fs/promises';
import { addressWidth, type Family, formatAddress, parseAddress } from '../model/address';
import { runCommand, type RunCommand } from './command';
import { NetlinkSocket, NetlinkUnavailableError, netlinkProtocols } from './netlink';
import { attributeEnd, findAttribute } from './netlink-attributes';
import { readSysctl } from './sysctl';

export interface InterfaceAddress {
  /** Of the interface. */
  readonly name: string;
  /** Canonical. */
  readonly address: string;
  readonly family: Family;
  readonly prefix: number;
}

/** linux/rtnetlink.h, if_link.h and if_addr.h. */
const getLinks = { type: 18, headerBytes: 16, name: 3 } as const;
const getAddresses = { type: 22, headerBytes: 8, address: 1, local: 2 } as const;
const familyNumbers: ReadonlyMap<number, Family> = new Map([
  [2, 'IPv4'],
  [10, 'IPv6'],
]);

/** struct ifinfomsg: the index is at 4. */
function decodeLink(payload: Buffer): readonly [index: number, name: string] | undefined {
  const at = findAttribute(payload, getLinks.headerBytes, payload.length, getLinks.name);
  if (at < 0) return undefined;
  return [payload.readInt32LE(4), payload.toString('latin1', at, attributeEnd(payload, at) - 1)];
}

/** struct ifaddrmsg: family, prefix length, and the interface's index at 4. */
function decodeAddress(payload: Buffer, names: ReadonlyMap<number, string>): InterfaceAddress | undefined {
  const family = familyNumbers.get(payload.readUInt8(0));
  const name = names.get(payload.readInt32LE(4));
  // On a point-to-point link IFA_ADDRESS is the other side's.
  const local = findAttribute(payload, getAddresses.headerBytes, payload.length, getAddresses.local);
  const at =
    local >= 0 ? local : findAttribute(payload, getAddresses.headerBytes, payload.length, getAddresses.address);
  if (family === undefined || name === undefined || at < 0) return undefined;
  const hex = payload.toString('hex', at, at + addressWidth(family) / 8);
  return { name, address: formatAddress(family, BigInt(`0x${hex}`)), family, prefix: payload.readUInt8(1) };
}

async function readByNetlink(): Promise<InterfaceAddress[]> {
  const socket = new NetlinkSocket(netlinkProtocols.route);
  try {
    const names = new Map(await socket.dumpAll(getLinks.type, Buffer.alloc(getLinks.headerBytes), decodeLink));
    return await socket.dumpAll(getAddresses.type, Buffer.alloc(getAddresses.headerBytes), (payload) =>
      decodeAddress(payload, names),
    );
  } finally {
    socket.close();
  }
}

interface IpAddressJson {
  readonly ifname?: string;
  readonly addr_info?: readonly { readonly local?: string; readonly prefixlen?: number }[];
}

/** `ip -j address`. */
export function parseIpAddresses(json: string): InterfaceAddress[] {
  return (JSON.parse(json) as readonly IpAddressJson[]).flatMap(({ ifname: name = '', addr_info: addresses = [] }) =>
    addresses.flatMap(({ local = '', prefixlen: prefix = 0 }) => {
      const address = parseAddress(local);
      return address === undefined ? [] : [{ name, address, family: local.includes(':') ? 'IPv6' : 'IPv4', prefix }];
    }),
  );
}

/**
 * Every address of every interface, also of those that are down (os.networkInterfaces leaves them out, and kube-ipvs0 is
 * one). By netlink, or by `ip` where the addon cannot load. Throws NetlinkError or CommandError.
 */
export async function readInterfaceAddresses(run: RunCommand = runCommand): Promise<InterfaceAddress[]> {
  try {
    return await readByNetlink();
  } catch (error) {
    if (!(error instanceof NetlinkUnavailableError)) throw error;
    return parseIpAddresses((await run('ip', ['-j', 'address'])).stdout);
  }
}

/** The kernel has IPv6, and it is not switched off: kube-proxy's test. */
export async function isIPv6Supported(): Promise<boolean> {
  try {
    await access('/proc/net/if_inet6');
    return (await readSysctl('net/ipv6/conf/all/disable_ipv6')) !== '1';
  } catch {
    return false;
  }
}
