/** What nf_tables holds in a place of the lab. */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { tableName } from '../../src/backends/nftables/objects';
import { endProcess, type Lab } from './lab/lab';
import { until } from './until';

interface ListedChain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly type?: string;
  readonly hook?: string;
  readonly prio?: number;
}

export class NodeTables {
  constructor(private readonly lab: Lab) {}

  async load(text: string): Promise<void> {
    await this.nft(['-f', '-'], text);
  }

  /** No table of anybody's, as on a node that has just come up. */
  async forget(): Promise<void> {
    await this.nft(['flush', 'ruleset']);
  }

  /** Everything in the tables kube-proxy, in an order that says nothing of how it came. */
  async list(): Promise<readonly string[]> {
    const { nftables } = JSON.parse(await this.nft(['-j', 'list', 'ruleset'])) as { nftables: object[] };
    return nftables
      .map((object) => JSON.stringify(object, withoutHistory))
      .filter((text) => text.includes(tableName))
      .sort();
  }

  /** `ip nat-prerouting: nat prerouting -101` for each hook of a table kube-proxy. */
  async hooks(): Promise<readonly string[]> {
    const { nftables } = JSON.parse(await this.nft(['-j', 'list', 'chains'])) as {
      nftables: { chain?: ListedChain }[];
    };
    return nftables
      .flatMap(({ chain }) => (chain?.table === tableName && chain.hook !== undefined ? [chain] : []))
      .map(({ family, name, type, hook, prio }) => `${family} ${name}: ${type} ${hook} ${prio}`)
      .sort();
  }

  /** Whoever wrote to nf_tables while the work was done: lines of `nft monitor`. */
  async writesDuring(work: () => Promise<unknown>): Promise<readonly string[]> {
    const lines: string[] = [];
    const monitor = this.lab.spawn('node', 'nft', ['monitor'], { stdio: ['ignore', 'pipe', 'ignore'] });
    if (monitor.stdout === null) throw new Error('nft monitor has no output');
    createInterface(monitor.stdout).on('line', (line) => lines.push(line));
    await once(monitor, 'spawn');
    await until(() => this.mark(lines, 'vipwire-test-before'), { what: 'nft monitor', everyMs: 50 });
    const start = lines.length;
    await work();
    await until(() => this.mark(lines, 'vipwire-test-after'), { what: 'the end of nft monitor', everyMs: 50 });
    await endProcess(monitor);
    return lines.slice(start).filter((line) => !line.includes('vipwire-test-') && !line.includes('(nft)'));
  }

  /** Makes a table and removes it. Returns whether the monitor has told of it. */
  private async mark(lines: readonly string[], table: string): Promise<boolean> {
    await this.nft(['-f', '-'], `add table ip ${table}\n`);
    await this.nft(['-f', '-'], `delete table ip ${table}\n`);
    return lines.some((line) => line.includes(table));
  }

  private async nft(args: readonly string[], input?: string): Promise<string> {
    return (await this.lab.run('node', 'nft', args, input)).stdout;
  }
}

function withoutHistory(name: string, value: unknown): unknown {
  if (name === 'handle' || name === 'index') return undefined;
  return name === 'elem' && Array.isArray(value) ? value.map((each) => JSON.stringify(each)).sort() : value;
}
