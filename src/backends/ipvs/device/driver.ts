/**
 * The dummy device kube-ipvs0. It makes VIPs addresses of this node, so that packets to them come to IPVS. It has kube-proxy's name,
 * because CNIs look for that. It stays down, as kube-proxy leaves it; the kernel takes packets for its addresses even so.
 *
 * Works by rtnetlink, or by the tool `ip` when the netlink addon cannot be loaded.
 */
import { CommandError, type RunCommand } from '../../../host/command';
import { parseIpAddresses, readInterfaceAddresses } from '../../../host/interfaces';
import { NetlinkError, NetlinkUnavailableError } from '../../../host/netlink';
import { Rtnetlink } from '../../../host/rtnetlink';
import { type Family, isLinkLocalIPv6, isLoopback } from '../../../model/address';
import { UserError } from '../../../model/user-error';
import { deviceName, printAddressChange } from './ip-batch';

const timeoutMs = 60_000;

/** Whether VIPs and NodePorts can be on the address. kube-proxy decides the same. */
const isServiceable = (address: string): boolean => !isLoopback(address) && !isLinkLocalIPv6(address);

/** The canonical addresses of all other interfaces, of both families. Throws NetlinkError or CommandError. */
export async function readNodeAddresses(run: RunCommand): Promise<string[]> {
  const addresses = (await readInterfaceAddresses(run, deviceName)).map(({ address }) => address);
  return [...new Set(addresses.filter(isServiceable))];
}

/** Its methods throw NetlinkError, AddressError or CommandError. */
export class IpvsDevice {
  readonly #netlink = new Rtnetlink();
  #isToolUsed = false;
  readonly #run: RunCommand;

  constructor(run: RunCommand) {
    this.#run = run;
  }

  /** The device's addresses, in canonical form. There are none when there is no device. */
  async readAddresses(family: Family): Promise<string[]> {
    const addresses = await this.#byNetlink(
      async () => {
        const index = await this.#netlink.findLink(deviceName);
        return index === undefined ? [] : this.#netlink.readAddresses(family, index);
      },
      () => this.#readByTool(family),
    );
    return addresses.filter(isServiceable);
  }

  /**
   * Adds addresses, and first the device when it is missing. An address that is already there is no failure. When the kernel refuses
   * one, the others are bound even so. Throws UserError when the kernel has no dummy devices.
   */
  bind(family: Family, addresses: readonly string[]): Promise<void> {
    return this.#byNetlink(
      async () => {
        const index = (await this.#netlink.findLink(deviceName)) ?? (await this.#add());
        await this.#netlink.addHostAddresses(family, index, addresses);
      },
      async () => {
        await this.#runAllowing(/File exists/, ['link', 'add', deviceName, 'type', 'dummy']).catch(explainNoDummy);
        await this.#changeByTool('bind', addresses);
      },
    );
  }

  /** Removes addresses. A missing address or device is no failure. */
  unbind(family: Family, addresses: readonly string[]): Promise<void> {
    return this.#byNetlink(
      async () => {
        const index = await this.#netlink.findLink(deviceName);
        if (index !== undefined) await this.#netlink.deleteHostAddresses(family, index, addresses);
      },
      () => this.#changeByTool('unbind', addresses),
    );
  }

  /** Deletes the device with its addresses of both families. */
  delete(): Promise<void> {
    return this.#byNetlink(
      () => this.#netlink.deleteLink(deviceName),
      () => this.#runAllowing(/Cannot find device/, ['link', 'delete', deviceName]),
    );
  }

  close(): void {
    this.#netlink.close();
  }

  async #byNetlink<T>(byNetlink: () => Promise<T>, byTool: () => Promise<T>): Promise<T> {
    if (!this.#isToolUsed)
      try {
        return await byNetlink();
      } catch (error) {
        if (!(error instanceof NetlinkUnavailableError)) throw error;
        this.#isToolUsed = true;
      }
    return byTool();
  }

  async #add(): Promise<number> {
    await this.#netlink.addLink(deviceName, 'dummy').catch(explainNoDummy);
    const index = await this.#netlink.findLink(deviceName);
    if (index === undefined) throw new Error(`${deviceName} was deleted as soon as it was created`);
    return index;
  }

  async #readByTool(family: Family): Promise<string[]> {
    try {
      const { stdout } = await this.#run('ip', ['-j', 'address', 'show', 'dev', deviceName], { timeoutMs });
      return parseIpAddresses(stdout).flatMap((found) => (found.family === family ? found.address : []));
    } catch (error) {
      if (error instanceof CommandError && /does not exist/.test(error.stderr)) return [];
      throw error;
    }
  }

  async #changeByTool(kind: 'bind' | 'unbind', addresses: readonly string[]): Promise<void> {
    if (addresses.length === 0) return;
    const input = addresses.map((address) => printAddressChange(kind, address)).join('');
    const gone = /Cannot assign requested address|Address not found|Cannot find device/;
    await this.#runAllowing(kind === 'unbind' ? gone : /(?!)/, ['-force', '-batch', '-'], input);
  }

  /** Runs `ip`. A failure is ignored when all of its complaints are allowed ones. */
  async #runAllowing(allowed: RegExp, args: readonly string[], input?: string): Promise<void> {
    try {
      await this.#run('ip', args, { timeoutMs, ...(input === undefined ? {} : { input }) });
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
    `the kernel has no dummy devices, so ${deviceName} cannot be created: run \`modprobe dummy\` on the node`,
  );
}
