import { modes } from '../../src/modes/modes';
import { askCanaries, watchedTables } from '../../src/machine/told-tables';
import { Agent } from '../../src/daemon/agent';
import { AgentTelemetry } from '../../src/daemon/agent-telemetry';
import { IptablesBackend } from '../../src/backends/iptables/backend';
import type { ProxyConfiguration } from '../../src/config/configuration';
import type { Machine } from '../../src/machine/machine';
import type { EndpointSlice, Node, Service } from '../../src/model/cluster';
import { ProxyHealth } from '../../src/servers/proxy-health';
import type { ClusterSink, Source } from '../../src/sources/source';
import { createLogger } from '../../src/telemetry/logger';
import { ProxyMetrics } from '../../src/telemetry/metrics';
import { DriftWatch } from '../../src/machine/drift';
import { FakeClock } from '../reconciler/fake-clock';
import { makeEndpoint, makeService, makeSlice } from '../support/cluster-objects';
import { FakeIptables } from '../support/fake-iptables';
import { iptablesSettings, makeConfiguration } from '../support/settings';

/** Those that a test started, until stopNodes. */
const nodes: FakeNode[] = [];
class FakeSource implements Source {
  sink: ClusterSink | undefined;
  stopped = false;

  start(sink: ClusterSink): void {
    this.sink = sink;
  }

  stop(): Promise<void> {
    this.stopped = true;
    return Promise.resolve();
  }
}

/** The daemon on a node in memory. */
export class FakeNode {
  readonly clock = new FakeClock();
  readonly source: FakeSource & Pick<Source, 'listNodeAddresses'> = new FakeSource();
  readonly tables = { IPv4: new FakeIptables(), IPv6: new FakeIptables() };
  readonly metrics = new ProxyMetrics('0');
  readonly health = new ProxyHealth(() => 60_000);
  readonly lines: string[] = [];
  addresses: readonly string[] = ['127.0.0.1', '192.168.88.10'];
  /** Why the addresses cannot be read. */
  addressFault: string | undefined;
  readonly agent: Agent;
  generation = 1;

  /** list: of all Nodes' addresses, asked for where a backend binds VIPs. */
  constructor(configuration: Partial<ProxyConfiguration> = {}, list?: NonNullable<Source['listNodeAddresses']>) {
    nodes.push(this);
    if (list !== undefined) this.source.listNodeAddresses = list;
    const log = createLogger({ verbosity: 0, format: 'json' }, (line) => this.lines.push(line));
    const telemetry = new AgentTelemetry({
      mode: modes.iptables,
      metrics: this.metrics,
      log,
      clock: this.clock,
      health: this.health,
      openServiceHealth: undefined,
    });
    this.agent = new Agent({
      configuration: makeConfiguration(configuration),
      nodeName: 'node',
      source: this.source,
      clock: this.clock,
      log,
      telemetry,
      readHostAddresses: () =>
        this.addressFault === undefined
          ? Promise.resolve(this.addresses)
          : Promise.reject(new Error(this.addressFault)),
    });
  }

  machine(): Machine {
    const drift = new DriftWatch({
      clock: this.clock,
      readGeneration: () => Promise.resolve(this.generation),
      lookForFlush: () => askCanaries([this.tables.IPv4, this.tables.IPv6]),
      fullCheckMs: 30_000,
      readShare: 0.1,
    });
    const backends = new Map(
      (['IPv4', 'IPv6'] as const).map((family) => {
        const tables = this.tables[family];
        const counted = watchedTables(drift, {
          variant: 'nft',
          save: () => tables.save(),
          restore: async (input) => {
            await tables.restore(input);
            this.generation += input.match(/^COMMIT$/gm)?.length ?? 0;
          },
          canariesStand: () => tables.canariesStand(),
        });
        return [family, new IptablesBackend(family, iptablesSettings, counted)] as const;
      }),
    );
    return { backends, drift };
  }

  set(...objects: readonly (Service | EndpointSlice | Node)[]): void {
    this.source.sink?.apply(objects.map((object) => ({ op: 'set', object }) as const));
  }

  synced(): void {
    this.source.sink?.synced();
  }

  /** Started, synced with these objects, and its first rounds done. */
  async running(...objects: readonly (Service | EndpointSlice | Node)[]): Promise<this> {
    await this.agent.start(() => Promise.resolve(this.machine()));
    this.set(...objects);
    this.synced();
    await this.clock.advance(2000);
    return this;
  }

  get writes(): number {
    return this.tables.IPv4.inputs.length + this.tables.IPv6.inputs.length;
  }

  said(text: string): string[] {
    return this.lines.filter((line) => line.includes(text));
  }

  async metric(series: string): Promise<number | undefined> {
    const line = (await this.metrics.print('iptables')).split('\n').find((each) => each.startsWith(`${series} `));
    return line === undefined ? undefined : Number(line.slice(series.length + 1));
  }
}

export function fakeNode(configuration: Partial<ProxyConfiguration> = {}): FakeNode {
  return new FakeNode(configuration);
}
export const web = [makeService(), makeSlice([makeEndpoint('10.0.0.1')])] as const;
export const nodeCIDR = { detectLocalMode: 'NodeCIDR' } as const;

/** For afterEach. */
export async function stopNodes(): Promise<void> {
  await Promise.all(nodes.splice(0).map(({ agent }) => agent.stop()));
}
