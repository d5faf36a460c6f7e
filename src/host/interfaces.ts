/** The addresses of this network namespace. */
import { readFile } from 'node:fs/promises';
import { type Family, parseAddress } from '../model/address';
import { absent, type Answer, found, unknown } from '../model/answer';
import { errorCode } from '../model/error-message';
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
import { askSysctl } from './sysctl';

const timeoutMs = 60_000;

export interface InterfaceAddress {
  /** The interface's name. */
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
    requireLinks(links.length);
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

/** An interface as `ip -j` prints it. */
interface IpAddressJson {
  readonly ifname?: string;
  readonly addr_info?: readonly { readonly local?: string; readonly prefixlen?: number }[];
}

/** Parses the output of `ip -j address`. Throws where it is cut off, and where it lists no interface at all. */
export function parseIpAddresses(json: string): InterfaceAddress[] {
  const interfaces = parseIpJson(json);
  requireLinks(interfaces.length);
  return interfaces.flatMap(({ ifname: name = '', addr_info: addresses = [] }) =>
    addresses.flatMap(({ local = '', prefixlen: prefix = 0 }) => {
      const address = parseAddress(local);
      return address === undefined ? [] : [{ name, address, family: local.includes(':') ? 'IPv6' : 'IPv4', prefix }];
    }),
  );
}

/** ip's output is not checked: every field may be missing. */
function parseIpJson(json: string): readonly IpAddressJson[] {
  return JSON.parse(json) as readonly IpAddressJson[];
}

/** Every network namespace has `lo`, so an answer without any interface is wrong. */
function requireLinks(count: number): void {
  if (count === 0) throw new Error('the list of interfaces is empty');
}

/**
 * Every address of every interface except the one named `except`. Interfaces that are down are included: os.networkInterfaces leaves
 * them out, and kube-ipvs0 is one. Uses netlink, or `ip` where the addon cannot load. Throws NetlinkError, CommandError, or the error
 * of an answer that is cut off or empty.
 */
export async function readInterfaceAddresses(
  run: RunCommand = runCommand,
  except?: string,
): Promise<InterfaceAddress[]> {
  try {
    return await readByNetlink(except);
  } catch (error) {
    if (!(error instanceof NetlinkUnavailableError)) throw error;
    const { stdout } = await run('ip', ['-j', 'address'], { timeoutMs });
    return parseIpAddresses(stdout).filter(({ name }) => name !== except);
  }
}

/**
 * Whether the kernel has IPv6 at all. Where IPv6 is only switched off, its tables may still hold rules.
 * @param proc /proc, or a folder of a test.
 */
export async function askIPv6Kernel(proc = '/proc'): Promise<Answer<true>> {
  try {
    await readFile(`${proc}/net/if_inet6`);
    return found(true);
  } catch (error) {
    return errorCode(error) === 'ENOENT' ? absent : unknown(error);
  }
}

/** Whether the kernel has IPv6 and it is not switched off, as kube-proxy tests it. */
export async function askIPv6(proc = '/proc'): Promise<Answer<true>> {
  const kernel = await askIPv6Kernel(proc);
  if (kernel.kind !== 'found') return kernel;
  const disabled = await askSysctl(`${proc}/sys/net/ipv6/conf/all/disable_ipv6`);
  if (disabled.kind === 'unknown') return disabled;
  return disabled.kind === 'found' && disabled.value === '1' ? absent : found(true);
}

/** The names of the Linux bridges. Uses netlink or `ip`, and throws, as readInterfaceAddresses does. */
export async function readBridges(run: RunCommand = runCommand): Promise<string[]> {
  const socket = new NetlinkSocket(netlinkProtocols.route);
  try {
    return await socket.dumpAll(linkMessages.get, Buffer.alloc(linkMessages.headerBytes), (payload) =>
      decodeLinkKind(payload) === 'bridge' ? decodeLink(payload)?.[1] : undefined,
    );
  } catch (error) {
    if (!(error instanceof NetlinkUnavailableError)) throw error;
    const { stdout } = await run('ip', ['-j', 'link', 'show', 'type', 'bridge'], { timeoutMs });
    return parseIpJson(stdout).flatMap(({ ifname }) => ifname ?? []);
  } finally {
    socket.close();
  }
}
