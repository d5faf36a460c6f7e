/**
 * kube-ipvs0, the dummy device that makes VIPs addresses of this node, so that packets to them come to IPVS. The name is
 * kube-proxy's: CNIs look for it. It stays down, as kube-proxy leaves it: the kernel takes packets for its addresses all the same.
 *
 * By rtnetlink, or by `ip` where the addon cannot load.
 */
import { CommandError, type RunCommand } from '../../../host/command';
import { parseIpAddresses, readInterfaceAddresses } from '../../../host/interfaces';
import { NetlinkError, NetlinkUnavailableError } from '../../../host/netlink';
import { Rtnetlink } from '../../../host/rtnetlink';
import { addressWidth, type Family, isLinkLocalIPv6, isLoopback } from '../../../model/address';
import { UserError } from '../../../model/user-error';

const deviceName = 'kube-ipvs0';
const timeoutMs = 60_000;

/** kube-proxy's idea of an address that VIPs and NodePorts can be on. */
const isServiceable = (address: string): boolean => !isLoopback(address) && !isLinkLocalIPv6(address);

/** The node's own addresses, canonical, of both families: those of every other interface. Throws NetlinkError or CommandError. */
export async function readNodeAddresses(run: RunCommand): Promise<string[]> {
  const addresses = (await readInterfaceAddresses(run, deviceName)).map(({ address }) => address);
  return [...new Set(addresses.filter(isServiceable))];
}

/** Its methods throw NetlinkError, AddressError or CommandError. */
export class IpvsDevice {
  private readonly netlink = new Rtnetlink();
  private isToolUsed = false;

  constructor(private readonly run: RunCommand) {}

  /** Canonical; none where there is no device. */
  async readAddresses(family: Family): Promise<string[]> {
    const addresses = await this.byNetlink(
      async () => {
        const index = await this.netlink.findLink(deviceName);
        return index === undefined ? [] : this.netlink.readAddresses(family, index);
      },
      () => this.readByTool(family),
    );
    return addresses.filter(isServiceable);
  }

  /**
   * Makes the device if need be. An address that is there already is no failure; one that is refused keeps no other from
   * being bound. Throws UserError where the kernel has no dummy devices.
   */
  bind(family: Family, addresses: readonly string[]): Promise<void> {
    return this.byNetlink(
      async () => {
        const index = (await this.netlink.findLink(deviceName)) ?? (await this.add());
        await this.netlink.addHostAddresses(family, index, addresses);
      },
      async () => {
        await this.runAllowing(/File exists/, ['link', 'add', deviceName, 'type', 'dummy']).catch(explainNoDummy);
        await this.changeByTool('replace', family, addresses);
      },
    );
  }

  /** An address that is gone is no failure, nor is a device that is. */
  unbind(family: Family, addresses: readonly string[]): Promise<void> {
    return this.byNetlink(
      async () => {
        const index = await this.netlink.findLink(deviceName);
        if (index !== undefined) await this.netlink.deleteHostAddresses(family, index, addresses);
      },
      () => this.changeByTool('delete', family, addresses),
    );
  }

  /** With its addresses of both families. */
  delete(): Promise<void> {
    return this.byNetlink(
      () => this.netlink.deleteLink(deviceName),
      () => this.runAllowing(/Cannot find device/, ['link', 'delete', deviceName]),
    );
  }

  close(): void {
    this.netlink.close();
  }

  private async byNetlink<T>(byNetlink: () => Promise<T>, byTool: () => Promise<T>): Promise<T> {
    if (!this.isToolUsed)
      try {
        return await byNetlink();
      } catch (error) {
        if (!(error instanceof NetlinkUnavailableError)) throw error;
        this.isToolUsed = true;
      }
    return byTool();
  }

  private async add(): Promise<number> {
    await this.netlink.addLink(deviceName, 'dummy').catch(explainNoDummy);
    const index = await this.netlink.findLink(deviceName);
    if (index === undefined) throw new Error(`${deviceName} was deleted as soon as it was made`);
    return index;
  }

  private async readByTool(family: Family): Promise<string[]> {
    try {
      const { stdout } = await this.run('ip', ['-j', 'address', 'show', 'dev', deviceName], { timeoutMs });
      return parseIpAddresses(stdout).flatMap((found) => (found.family === family ? found.address : []));
    } catch (error) {
      if (error instanceof CommandError && /does not exist/.test(error.stderr)) return [];
      throw error;
    }
  }

  private async changeByTool(verb: 'replace' | 'delete', family: Family, addresses: readonly string[]): Promise<void> {
    if (addresses.length === 0) return;
    const prefix = addressWidth(family);
    const flag = family === 'IPv6' && verb === 'replace' ? ' nodad' : '';
    const input = addresses
      .map((address) => `address ${verb} ${address}/${prefix} dev ${deviceName}${flag}\n`)
      .join('');
    const gone = /Cannot assign requested address|Address not found|Cannot find device/;
    await this.runAllowing(verb === 'delete' ? gone : /(?!)/, ['-force', '-batch', '-'], input);
  }

  /** Of several complaints it is enough that none is another one. */
  private async runAllowing(allowed: RegExp, args: readonly string[], input?: string): Promise<void> {
    try {
      await this.run('ip', args, { timeoutMs, ...(input === undefined ? {} : { input }) });
    } catch (error) {
      if (!(error instanceof CommandError) || error.exitCode === undefined || error.notFound) throw error;
      const complaints = error.stderr.split('\n').filter((line) => line !== '' && !/^Command failed/.test(line));
      if (complaints.length === 0 || !complaints.every((line) => allowed.test(line))) throw error;
    }
  }
}

function explainNoDummy(error: unknown): never {
  const isUnknownKind =
    (error instanceof NetlinkError && error.code === 'EOPNOTSUPP') ||
    (error instanceof CommandError && /Unknown device type|not supported/.test(error.stderr));
  if (!isUnknownKind) throw error;
  throw new UserError(
    `the kernel has no dummy devices, so ${deviceName} cannot be made: run \`modprobe dummy\` on the node`,
  );
}
