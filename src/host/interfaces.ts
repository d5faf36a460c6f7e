/** The addresses of this network namespace. */
import { access } from 'node:fs/promises';
import { type Family, parseAddress } from '../model/address';
import { runCommand, type RunCommand } from './command';
import { NetlinkSocket, NetlinkUnavailableError, netlinkProtocols } from './netlink';
import {
  addressMessages,
  decodeAddress,
  decodeAddressLink,
  decodeLink,
  decodeLinkKind,
  linkMessages,
} from './rtnetlink';
import { readSysctl } from './sysctl';

export interface InterfaceAddress {
  /** Of the interface. */
  readonly name: string;
  /** Canonical. */
  readonly address: string;
  readonly family: Family;
  readonly prefix: number;
}

async function readByNetlink(except: string | undefined): Promise<InterfaceAddress[]> {
  const socket = new NetlinkSocket(netlinkProtocols.route);
  try {
    const links = await socket.dumpAll(linkMessages.get, Buffer.alloc(linkMessages.headerBytes), decodeLink);
    const names = new Map(links.filter(([, name]) => name !== except));
    return await socket.dumpAll(addressMessages.get, Buffer.alloc(addressMessages.headerBytes), (payload) => {
      const name = names.get(decodeAddressLink(payload));
      const address = name === undefined ? undefined : decodeAddress(payload);
      return name === undefined || address === undefined ? undefined : { name, ...address };
    });
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
 * Every address of every interface (but those of one, if it is named), also of those that are down: os.networkInterfaces leaves
 * them out, and kube-ipvs0 is one. By netlink, or by `ip` where the addon cannot load. Throws NetlinkError or CommandError.
 */
export async function readInterfaceAddresses(
  run: RunCommand = runCommand,
  except?: string,
): Promise<InterfaceAddress[]> {
  try {
    return await readByNetlink(except);
  } catch (error) {
    if (!(error instanceof NetlinkUnavailableError)) throw error;
    return parseIpAddresses((await run('ip', ['-j', 'address'])).stdout).filter(({ name }) => name !== except);
  }
}

/** Whether the kernel has IPv6 at all: where it is only disabled, its tables may hold rules. */
export function hasIPv6(): Promise<boolean> {
  return access('/proc/net/if_inet6').then(
    () => true,
    () => false,
  );
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

/** Linux bridges. By netlink, or by `ip`; throws as readInterfaceAddresses. */
export async function readBridges(run: RunCommand = runCommand): Promise<string[]> {
  const socket = new NetlinkSocket(netlinkProtocols.route);
  try {
    return await socket.dumpAll(linkMessages.get, Buffer.alloc(linkMessages.headerBytes), (payload) =>
      decodeLinkKind(payload) === 'bridge' ? decodeLink(payload)?.[1] : undefined,
    );
  } catch (error) {
    if (!(error instanceof NetlinkUnavailableError)) throw error;
    const { stdout } = await run('ip', ['-j', 'link', 'show', 'type', 'bridge']);
    return (JSON.parse(stdout) as readonly IpAddressJson[]).flatMap(({ ifname }) => ifname ?? []);
  } finally {
    socket.close();
  }
}
