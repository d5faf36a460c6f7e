/** The addresses of this network namespace. */
import { errorCode } from '../model/error-message';
import { readFile } from 'node:fs/promises';
import { type Family, parseAddress } from '../model/address';
import { absent, type Answer, found, unknown } from '../model/answer';
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

interface IpAddressJson {
  readonly ifname?: string;
  readonly addr_info?: readonly { readonly local?: string; readonly prefixlen?: number }[];
}

/** `ip -j address`. Throws where it is cut, or tells of no interface at all. */
export function parseIpAddresses(json: string): InterfaceAddress[] {
  const interfaces = JSON.parse(json) as readonly IpAddressJson[];
  requireLinks(interfaces.length);
  return interfaces.flatMap(({ ifname: name = '', addr_info: addresses = [] }) =>
    addresses.flatMap(({ local = '', prefixlen: prefix = 0 }) => {
      const address = parseAddress(local);
      return address === undefined ? [] : [{ name, address, family: local.includes(':') ? 'IPv6' : 'IPv4', prefix }];
    }),
  );
}

/** Every network namespace has `lo`: an answer without any interface is none. */
function requireLinks(count: number): void {
  if (count === 0) throw new Error('the list of interfaces came empty');
}

/**
 * Every address of every interface (but those of one, if it is named), also of those that are down: os.networkInterfaces leaves
 * them out, and kube-ipvs0 is one. By netlink, or by `ip` where the addon cannot load. Throws where it
 * cannot be told: NetlinkError, CommandError, or the error of an answer that is cut or empty.
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
 * Whether the kernel has IPv6 at all: where it is only switched off, its tables may hold rules.
 * @param proc is /proc, or a test's.
 */
export async function askIPv6Kernel(proc = '/proc'): Promise<Answer<true>> {
  try {
    await readFile(`${proc}/net/if_inet6`);
    return found(true);
  } catch (error) {
    return errorCode(error) === 'ENOENT' ? absent : unknown(error);
  }
}

/** Whether the kernel has IPv6, and it is not switched off: kube-proxy's test. */
export async function askIPv6(proc = '/proc'): Promise<Answer<true>> {
  const kernel = await askIPv6Kernel(proc);
  if (kernel.kind !== 'found') return kernel;
  const disabled = await askSysctl(`${proc}/sys/net/ipv6/conf/all/disable_ipv6`);
  if (disabled.kind === 'unknown') return disabled;
  return disabled.kind === 'found' && disabled.value === '1' ? absent : found(true);
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
    const { stdout } = await run('ip', ['-j', 'link', 'show', 'type', 'bridge'], { timeoutMs });
    return (JSON.parse(stdout) as readonly IpAddressJson[]).flatMap(({ ifname }) => ifname ?? []);
  } finally {
    socket.close();
  }
}
