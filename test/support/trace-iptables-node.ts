/** The node of a trace, with the addresses and routes that `ip -batch` would make from a text, and what follows from them. */
import { type Cidr, cidrContains, familyOf, isLoopback, parseCidr } from '../../src/model/address';

interface Route {
  readonly to: Cidr;
  readonly device: string;
}

export class TracedNode {
  private readonly addresses: { readonly address: string; readonly device: string }[] = [];
  private readonly routes: Route[] = [];

  /** Lines `addr add A/LENGTH dev D` and `route add CIDR|default dev D|via A`; other lines are ignored. */
  constructor(text: string) {
    for (const line of text.split('\n')) this.configure(line);
  }

  /** One more line. */
  configure(line: string): void {
    const [, address, length, of] = /^addr add (\S+)\/(\d+) dev (\S+)/.exec(line) ?? [];
    if (address !== undefined && of !== undefined) {
      this.addresses.push({ address, device: of });
      this.addRoute(`${address}/${length}`, of);
    }
    const [, to, word, by] = /^route add (\S+) (dev|via) (\S+)/.exec(line) ?? [];
    if (to === undefined || by === undefined) return;
    const everything = (by.includes(':') ? '::' : '0.0.0.0') + '/0';
    this.addRoute(to === 'default' ? everything : to, word === 'dev' ? by : this.deviceTo(by));
  }

  private addRoute(text: string, device: string): void {
    const to = parseCidr(text);
    if (to === undefined) throw new Error(`no route: ${text}`);
    this.routes.push({ to, device });
  }

  get ownAddresses(): readonly string[] {
    return this.addresses.map(({ address }) => address);
  }

  isLocal(address: string): boolean {
    return isLoopback(address) || this.addresses.some((own) => own.address === address);
  }

  /** Throws if there is no route. */
  deviceTo(destination: string): string {
    if (this.isLocal(destination)) return 'lo';
    const [best] = this.routes
      .filter(({ to }) => cidrContains(to, destination))
      .sort((a, b) => b.to.prefix - a.to.prefix);
    if (best === undefined) throw new Error(`the node has no route to ${destination}`);
    return best.device;
  }

  /** The node's address for packets on the way there: its own, and those that it masquerades. */
  sourceTo(destination: string): string {
    const family = familyOf(destination);
    if (this.isLocal(destination))
      return isLoopback(destination) ? (family === 'IPv4' ? '127.0.0.1' : '::1') : destination;
    const device = this.deviceTo(destination);
    const own = this.addresses.find((one) => one.device === device && familyOf(one.address) === family);
    if (own === undefined) throw new Error(`the node has no address on ${device}`);
    return own.address;
  }
}
