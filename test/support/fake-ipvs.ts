/**
 * A kernel with IPVS in memory: virtual servers, ipsets, kube-ipvs0 and iptables, each as the drivers see it. It refuses a rule that
 * matches a set that does not exist, and the removal of a set that a rule matches.
 */
import type { IpvsKernel } from '../../src/backends/ipvs/backend';
import { SetParser } from '../../src/backends/ipvs/sets/ipset-text';
import type { ServerWrite } from '../../src/backends/ipvs/servers/virtual-server';
import type { Family } from '../../src/model/address';
import { FakeIpset } from './fake-ipset';
import { FakeIptables } from './fake-iptables';

interface FakeServer {
  options: string;
  readonly weights: Map<string, number>;
}

export class FakeIpvs implements IpvsKernel {
  readonly tables = new FakeIptables();
  readonly ipset = new FakeIpset();
  readonly servers = new Map<string, FakeServer>();
  readonly addresses = new Set<string>();
  /** `SERVER DESTINATION` -> the number of its connections. All others have none. */
  readonly connections = new Map<string, number>();
  /** All writes, one line for each. */
  readonly writes: string[] = [];
  /** How many of the next writes fail after half of them has taken effect. */
  failures = 0;
  /** Called after each of the smallest writes. */
  afterWrite: (() => void) | undefined;

  constructor(private readonly family: Family = 'IPv4') {
    const restore = this.tables.restore.bind(this.tables);
    this.tables.restore = async (input) => {
      for (const set of setsIn(input)) if (!this.ipset.sets.has(set)) throw new Error(`Set ${set} doesn't exist.`);
      await restore(input);
      this.ipset.inUse.clear();
      for (const set of setsIn(this.tables.print())) this.ipset.inUse.add(set);
      this.writes.push('rules');
      this.afterWrite?.();
    };
  }

  async readServers(): ReturnType<IpvsKernel['readServers']> {
    await Promise.resolve();
    const servers = new Map([...this.servers].map(([key, server]) => [key, printServer(server)] as const));
    const resting = [...this.servers].flatMap(([server, { weights }]) =>
      [...weights].flatMap(([destination, weight]) => (weight === 0 ? [{ server, destination }] : [])),
    );
    return { servers, resting };
  }

  async writeServers(writes: readonly ServerWrite[]): Promise<void> {
    await Promise.resolve();
    const half = this.failures > 0 ? Math.floor(writes.length / 2) : writes.length;
    for (const write of writes.slice(0, half)) this.writeOne(write);
    this.fail();
  }

  async readDestinations(server: string): ReturnType<IpvsKernel['readDestinations']> {
    await Promise.resolve();
    return [...(this.servers.get(server)?.weights.keys() ?? [])].map((destination) => ({
      destination,
      connections: this.connections.get(`${server} ${destination}`) ?? 0,
    }));
  }

  async readSets(): ReturnType<IpvsKernel['readSets']> {
    await Promise.resolve();
    const parser = new SetParser(this.family);
    for (const name of this.ipset.sets.keys()) this.ipset.save(name).forEach(parser.line);
    return parser.result();
  }

  async restoreSets(input: string): Promise<void> {
    for (const line of input.split('\n').filter(Boolean)) {
      await this.ipset.run('ipset', ['-exist', 'restore'], { input: `${line}\n` });
      this.writes.push(line);
      this.afterWrite?.();
    }
  }

  async readAddresses(): Promise<readonly string[]> {
    await Promise.resolve();
    return [...this.addresses];
  }

  async bind(addresses: readonly string[]): Promise<void> {
    await this.change('bind', addresses, (address) => this.addresses.add(address));
  }

  async unbind(addresses: readonly string[]): Promise<void> {
    await this.change('unbind', addresses, (address) => this.addresses.delete(address));
  }

  /** Everything that is there, sorted. */
  print(): string {
    const servers = [...this.servers].map(([key, server]) => `${key}\n${printServer(server)}`);
    const sets = [...this.ipset.sets.keys()].flatMap((name) => this.ipset.save(name));
    return [...servers, ...[...this.addresses], ...sets, ...this.tables.print().split('\n')].sort().join('\n');
  }

  private async change(word: string, addresses: readonly string[], apply: (address: string) => void): Promise<void> {
    await Promise.resolve();
    for (const address of addresses) {
      apply(address);
      this.writes.push(`${word} ${address}`);
      this.afterWrite?.();
    }
    this.fail();
  }

  private fail(): void {
    if (this.failures === 0) return;
    this.failures--;
    throw new Error('told to fail');
  }

  /** It is idempotent, as the driver's is. */
  private writeOne(write: ServerWrite): void {
    const server = this.servers.get(write.server);
    switch (write.op) {
      case 'add-server':
      case 'edit-server':
        if (server === undefined) this.servers.set(write.server, { options: write.options, weights: new Map() });
        else server.options = write.options;
        break;
      case 'delete-server':
        this.servers.delete(write.server);
        break;
      case 'delete-destination':
        server?.weights.delete(write.destination);
        break;
      default:
        if (server === undefined) throw new Error(`${write.server}: no such server`);
        server.weights.set(write.destination, write.weight);
    }
    this.writes.push(Object.values(write).join(' '));
    this.afterWrite?.();
  }
}

function printServer({ options, weights }: FakeServer): string {
  return [options, ...[...weights].map(([destination, weight]) => `${destination} ${weight}`).sort()].join('\n');
}

/** The sets that rules match, or map packets by. */
function setsIn(rules: string): ReadonlySet<string> {
  return new Set([...rules.matchAll(/ --(?:match|map)-set (\S+)/g)].map(([, set = '']) => set));
}
