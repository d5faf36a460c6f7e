import { modes } from '../../src/modes/modes';
import { askCanaries } from '../../src/machine/told-tables';
import { found } from '../../src/model/answer';
import { Agent } from '../../src/daemon/agent';
import { AgentTelemetry } from '../../src/daemon/agent-telemetry';
import { IptablesBackend } from '../../src/backends/iptables/backend';
import type { ProxyConfiguration } from '../../src/config/configuration';
import type { Machine } from '../../src/machine/machine';
import type { Family } from '../../src/model/address';
import type { EndpointSlice, Node, Service } from '../../src/model/cluster';
import { ProxyHealth } from '../../src/servers/proxy-health';
import type { ClusterSink, Source } from '../../src/sources/source';
import { createLogger } from '../../src/telemetry/logger';
import { ProxyMetrics } from '../../src/telemetry/metrics';
import { DriftWatch } from '../../src/xtables/drift';
import { FakeClock, settle } from '../reconciler/fake-clock';
import { makeEndpoint, makeNode, makeService, makeSlice } from '../support/cluster-objects';
import { FakeIptables } from '../support/fake-iptables';
import { iptablesSettings, makeConfiguration } from '../support/settings';

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
class FakeNode {
  readonly clock = new FakeClock();
  readonly source: FakeSource & Pick<Source, 'listNodeAddresses'> = new FakeSource();
  readonly tables = { IPv4: new FakeIptables(), IPv6: new FakeIptables() };
  readonly metrics = new ProxyMetrics('0');
  readonly health = new ProxyHealth(60_000);
  readonly lines: string[] = [];
  addresses: readonly string[] = ['127.0.0.1', '192.168.88.10'];
  /** Why the addresses cannot be read. */
  addressFault: string | undefined;
  readonly agent: Agent;
  generation = 1;

  /** list: of all Nodes' addresses, asked for where a backend binds VIPs. */
  constructor(configuration: Partial<ProxyConfiguration> = {}, list?: NonNullable<Source['listNodeAddresses']>) {
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
      canariesStand: () => askCanaries([this.tables.IPv4, this.tables.IPv6]),
      fullCheckMs: 30_000,
      readShare: 0.1,
    });
    const backends = new Map(
      (['IPv4', 'IPv6'] as const).map((family) => {
        const tables = this.tables[family];
        const counted = drift.watched({
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
    const line = (await this.metrics.print()).split('\n').find((each) => each.startsWith(`${series} `));
    return line === undefined ? undefined : Number(line.slice(series.length + 1));
  }
}

const nodes: FakeNode[] = [];
function fakeNode(configuration: Partial<ProxyConfiguration> = {}): FakeNode {
  const node = new FakeNode(configuration);
  nodes.push(node);
  return node;
}
afterEach(async () => {
  await Promise.all(nodes.splice(0).map(({ agent }) => agent.stop()));
});

const web = [makeService(), makeSlice([makeEndpoint('10.0.0.1')])] as const;
const nodeCIDR = { detectLocalMode: 'NodeCIDR' } as const;

describe('the first write', () => {
  test('waits for the source to be in sync', async () => {
    const node = fakeNode();
    await node.agent.start(() => Promise.resolve(node.machine()));
    node.set(...web);
    await node.clock.advance(60_000);
    expect(node.writes).toBe(0);
    node.synced();
    await node.clock.advance(0);
    expect(node.writes).toBe(2);
    expect(node.tables.IPv4.print()).toContain('10.0.0.1:8080');
  });

  test('and for the machine, where the source was faster', async () => {
    const node = fakeNode();
    let open: ((machine: Machine) => void) | undefined;
    const started = node.agent.start(() => new Promise((resolve) => (open = resolve)));
    node.set(...web);
    node.synced();
    node.set(makeSlice([makeEndpoint('10.0.0.2')]));
    await node.clock.advance(5000);
    expect(node.writes).toBe(0);
    // The interfaces are read before that.
    while (open === undefined) await settle();
    open(node.machine());
    await started;
    await node.clock.advance(0);
    expect(node.tables.IPv4.print()).toContain('10.0.0.2:8080');
    expect(node.tables.IPv4.inputs).toHaveLength(1);
  });

  test('a machine that cannot be opened is told', async () => {
    const node = fakeNode();
    await expect(node.agent.start(() => Promise.reject(new Error('no iptables')))).rejects.toThrow('no iptables');
  });
});

describe('detectLocalMode NodeCIDR', () => {
  const withCIDR = makeNode({ podCIDRs: ['10.244.1.0/24'] });

  test('waits for the Node to be given podCIDRs', async () => {
    const node = await fakeNode(nodeCIDR).running(...web, makeNode());
    expect(node.writes).toBe(0);
    expect(node.said('waiting for the Node')).toHaveLength(1);
    node.set(makeNode({ name: 'other', podCIDRs: ['10.244.9.0/24'] }));
    await node.clock.advance(60_000);
    expect(node.writes).toBe(0);
    node.set(withCIDR);
    await node.clock.advance(0);
    expect(node.tables.IPv4.print()).toContain('! -s 10.244.1.0/24 -j KUBE-MARK-MASQ');
    await node.clock.advance(600_000);
    await expect(Promise.race([node.agent.failed, Promise.resolve('goes on')])).resolves.toBe('goes on');
  });

  test('does not wait where it has them', async () => {
    const node = await fakeNode(nodeCIDR).running(...web, withCIDR);
    expect(node.writes).toBe(2);
    expect(node.said('waiting for the Node')).toEqual([]);
  });

  test('gives up after five minutes, as kube-proxy', async () => {
    const node = await fakeNode(nodeCIDR).running(...web, makeNode());
    await node.clock.advance(290_000);
    await expect(Promise.race([node.agent.failed, Promise.resolve('goes on')])).resolves.toBe('goes on');
    await node.clock.advance(10_000);
    await expect(node.agent.failed).rejects.toThrow(
      'Node node has no podCIDRs after 5 minutes (detectLocalMode NodeCIDR)',
    );
    expect(node.writes).toBe(0);
  });

  test('and says so where there was no Node at all', async () => {
    const node = await fakeNode(nodeCIDR).running(...web);
    await node.clock.advance(300_000);
    await expect(node.agent.failed).rejects.toThrow('there is no Node node after 5 minutes');
  });

  test('podCIDRs of the other family alone end it, as kube-proxy', async () => {
    const other = makeNode({ addresses: ['192.168.88.10'], podCIDRs: ['fd44::/64'] });
    const node = await fakeNode(nodeCIDR).running(...web, other);
    await expect(node.agent.failed).rejects.toThrow(
      "the Node's podCIDRs: IPv6 addresses alone, on a node of primary family IPv4",
    );
    expect(node.writes).toBe(0);
  });

  test('other podCIDRs are followed', async () => {
    const node = await fakeNode(nodeCIDR).running(...web, withCIDR);
    node.set({ ...withCIDR, podCIDRs: ['10.244.2.0/24'] });
    await node.clock.advance(2000);
    expect(node.tables.IPv4.print()).toContain('! -s 10.244.2.0/24 -j KUBE-MARK-MASQ');
    expect(node.tables.IPv4.print()).not.toContain('10.244.1.0/24');
  });
});

describe("the node's addresses", () => {
  const nodePort = makeService({ ports: [{ name: '', protocol: 'TCP', port: 80, nodePort: 30080 }] });
  const primary = { nodePortAddresses: ['primary'] } as const;
  const dispatch = (node: FakeNode): string =>
    node.tables.IPv4.print()
      .match(/.* -j KUBE-NODEPORTS/gm)
      ?.join() ?? '';

  test('that match nodePortAddresses are followed within seconds', async () => {
    const node = await fakeNode({ nodePortAddresses: ['192.168.88.0/24'] }).running(nodePort, web[1]);
    expect(dispatch(node)).toMatch(/-d 192\.168\.88\.10\/32/);
    node.addresses = ['127.0.0.1', '192.168.88.10', '192.168.88.11'];
    await node.clock.advance(5000);
    expect(dispatch(node)).toMatch(/-d 192\.168\.88\.11\/32/);
    node.addresses = ['127.0.0.1', '192.168.88.11'];
    await node.clock.advance(5000);
    expect(dispatch(node)).not.toContain('192.168.88.10');
  });

  test('primary waits for those of the Node, and follows them', async () => {
    const node = await fakeNode(primary).running(nodePort, web[1], makeNode());
    expect(node.writes).toBe(0);
    expect(node.said('waiting for the addresses of the Node')).toHaveLength(1);
    node.set(makeNode({ addresses: ['192.168.88.10'] }));
    await node.clock.advance(0);
    expect(dispatch(node)).toMatch(/-d 192\.168\.88\.10\/32/);
    node.addresses = ['127.0.0.1', '192.168.88.10', '192.168.88.20'];
    node.set(makeNode({ addresses: ['192.168.88.20'] }));
    await node.clock.advance(5000);
    expect(dispatch(node)).not.toContain('192.168.88.10');
    expect(dispatch(node)).toContain('192.168.88.20');
    expect(node.said('has no address')).toEqual([]);
  });

  test('primary goes on without after 30 s, as kube-proxy', async () => {
    const node = await fakeNode(primary).running(nodePort, web[1]);
    await node.clock.advance(27_000);
    expect(node.writes).toBe(0);
    await node.clock.advance(2000);
    expect(dispatch(node)).toContain('--dst-type LOCAL');
    expect(node.said('the Node has no address')).toHaveLength(1);
  });

  const ofNet = { nodePortAddresses: ['192.168.88.0/24'] } as const;

  test('that cannot be read at the start are waited for, said once, and asked again', async () => {
    const node = fakeNode(ofNet);
    node.addressFault = 'netlink request 0x16: EINTR';
    await node.running(nodePort, web[1]);
    await node.clock.advance(60_000);
    expect(node.writes).toBe(0);
    expect(node.agent.waitingFor()).toEqual(['the addresses of this machine cannot be read']);
    expect(node.said('cannot tell which addresses this machine has')).toHaveLength(1);
    node.addressFault = undefined;
    await node.clock.advance(2000);
    expect(dispatch(node)).toMatch(/-d 192\.168\.88\.10\/32/);
    expect(node.agent.waitingFor()).toEqual([]);
  });

  test('that cannot be read later on stay what they were', async () => {
    const node = await fakeNode(ofNet).running(nodePort, web[1]);
    const before = node.tables.IPv4.print();
    const { writes } = node;
    node.addressFault = 'spawn ip EAGAIN';
    await node.clock.advance(120_000);
    expect(node.tables.IPv4.print()).toBe(before);
    expect(node.writes).toBe(writes);
    expect(node.said('cannot tell which addresses this machine has')).toHaveLength(1);
    node.addressFault = undefined;
    node.addresses = ['192.168.88.11'];
    await node.clock.advance(30_000);
    expect(dispatch(node)).toMatch(/-d 192\.168\.88\.11\/32/);
  });

  test('nothing waits for them without primary', async () => {
    const node = await fakeNode().running(nodePort, web[1]);
    expect(node.writes).toBe(2);
  });
});

describe('the Node', () => {
  test('what does not matter of it leads to no round', async () => {
    const node = await fakeNode().running(...web, makeNode());
    const rounds = await node.metric('kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family="IPv4"}');
    node.set(makeNode({ leaving: true }), makeNode({ name: 'other', zone: 'z2' }));
    await node.clock.advance(5000);
    expect(await node.metric('kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family="IPv4"}')).toBe(rounds);
    expect(node.health.nodeEligible()).toBe(false);
  });

  test('its zone counts for hints', async () => {
    const hinted = (address: string, zone: string): ReturnType<typeof makeEndpoint> =>
      makeEndpoint(address, { zoneHints: [zone], zone });
    const slice = makeSlice([hinted('10.0.0.1', 'z1'), hinted('10.0.0.2', 'z2')]);
    const node = await fakeNode().running(makeService(), slice, makeNode({ zone: 'z1' }));
    expect(node.tables.IPv4.print()).not.toContain('10.0.0.2:8080');
    node.set(makeNode({ zone: 'z2' }));
    await node.clock.advance(2000);
    expect(node.tables.IPv4.print()).toContain('10.0.0.2:8080');
    expect(node.tables.IPv4.print()).not.toContain('10.0.0.1:8080');
  });

  test('one that is deleted stays what it was', async () => {
    const known: Node = makeNode({ podCIDRs: ['10.244.1.0/24'] });
    const node = await fakeNode(nodeCIDR).running(...web, known);
    expect(node.health.nodeEligible()).toBe(true);
    node.source.sink?.apply([{ op: 'delete', kind: 'Node', namespace: '', name: 'node' }]);
    await node.clock.advance(5000);
    expect(node.health.nodeEligible()).toBe(true);
    expect(node.tables.IPv4.print()).toContain('! -s 10.244.1.0/24 -j KUBE-MARK-MASQ');
  });
});

describe('drift', () => {
  test('a foreign flush is seen and put right within 2 s, logged and counted', async () => {
    const node = await fakeNode().running(...web);
    for (const rules of node.tables.IPv4.tables.get('nat')?.values() ?? []) rules.length = 0;
    node.generation++;
    await node.clock.advance(2000);
    expect(node.tables.IPv4.print()).toContain('10.0.0.1:8080');
    expect(node.said('somebody else changed our rules')).toHaveLength(1);
    const labels = 'reason="foreign write",ip_family="IPv4"';
    expect(await node.metric(`vipwire_drift_repairs_total{table="nat",${labels}}`)).toBe(1);
    expect(await node.metric(`vipwire_drift_repairs_total{table="filter",${labels}}`)).toBeUndefined();
  });

  test('a chain that somebody put among ours goes, and is counted', async () => {
    const node = await fakeNode().running(...web);
    node.tables.IPv4.tables.get('nat')?.set('KUBE-SVC-FOREIGN', []);
    node.generation++;
    await node.clock.advance(2000);
    expect(node.tables.IPv4.print()).not.toContain('KUBE-SVC-FOREIGN');
    const series = 'vipwire_drift_repairs_total{table="nat",reason="foreign write",ip_family="IPv4"}';
    expect(await node.metric(series)).toBe(1);
  });

  test('what others write elsewhere leads to a look and no more', async () => {
    const node = await fakeNode().running(...web);
    const { writes } = node;
    node.generation++;
    await node.clock.advance(5000);
    expect(node.writes).toBe(writes);
    expect(node.said('somebody else changed our rules')).toEqual([]);
  });

  test('a machine whose generation cannot be read is served all the same', async () => {
    const node = fakeNode();
    const { backends } = node.machine();
    const drift = new DriftWatch({
      clock: node.clock,
      readGeneration: () => Promise.reject(new Error('no prebuilt addon')),
      canariesStand: () => Promise.resolve(found(true)),
      fullCheckMs: 30_000,
      readShare: 0.1,
    });
    await node.agent.start(() => Promise.resolve({ backends, drift }));
    node.set(...web);
    node.synced();
    await node.clock.advance(0);
    expect(node.tables.IPv4.print()).toContain('10.0.0.1:8080');
  });
});

describe('warnings', () => {
  test('of an object are logged once and counted each time', async () => {
    const node = await fakeNode().running();
    const warning = { object: 'Service default/web', kind: 'bad-port', message: 'port 0 is left out' };
    node.source.sink?.warn(warning);
    node.source.sink?.warn(warning);
    expect(node.said('port 0 is left out')).toHaveLength(1);
    expect(await node.metric('vipwire_warnings_total{kind="bad-port"}')).toBe(2);
  });
});

describe('stop', () => {
  test('ends the source first, then the loops, and nothing is written after it', async () => {
    const node = await fakeNode().running(...web);
    await node.agent.stop();
    expect(node.source.stopped).toBe(true);
    const { writes } = node;
    node.set(makeSlice([makeEndpoint('10.0.0.2')]));
    node.generation++;
    await node.clock.advance(60_000);
    expect(node.writes).toBe(writes);
    expect(node.clock.waitsMs).toEqual([]);
  });
});

test('a failed write is retried, and health tells of a wait that is too long', async () => {
  const node = await fakeNode().running(...web);
  node.tables.IPv4.failures = 1000;
  node.set(makeSlice([makeEndpoint('10.0.0.2')]));
  await node.clock.advance(30_000);
  expect(node.health.health(node.clock.now()).healthy).toBe(true);
  await node.clock.advance(40_000);
  expect(node.health.health(node.clock.now()).healthy).toBe(false);
  node.tables.IPv4.failures = 0;
  await node.clock.advance(60_000);
  expect(node.health.health(node.clock.now()).healthy).toBe(true);
  expect(node.tables.IPv4.print()).toContain('10.0.0.2:8080');
  expect(node.said('cannot bring the rules into force').length).toBeGreaterThan(3);
});

describe('another configuration while it runs', () => {
  test('what the planner is told is in force with the next round', async () => {
    const node = await fakeNode().running(...web);
    expect(node.tables.IPv4.print()).not.toContain('! -s 10.244.0.0/16');
    const inForce = node.agent.configure(makeConfiguration({ clusterCIDRs: ['10.244.0.0/16'] }));
    await node.clock.advance(2000);
    expect(await inForce).toBe(true);
    expect(node.tables.IPv4.print()).toContain('! -s 10.244.0.0/16');
  });

  test('a new pause between two syncs counts', async () => {
    const node = await fakeNode().running(...web);
    expect(await node.agent.configure(makeConfiguration({ minSyncPeriodMs: 20_000 }))).toBe(true);
    await node.clock.advance(20_000);
    node.set(makeSlice([makeEndpoint('10.0.0.2')]));
    await node.clock.advance(1000);
    expect(node.tables.IPv4.print()).toContain('10.0.0.2:');
    node.set(makeSlice([makeEndpoint('10.0.0.3')]));
    await node.clock.advance(15_000);
    expect(node.tables.IPv4.print()).not.toContain('10.0.0.3:');
    await node.clock.advance(5000);
    expect(node.tables.IPv4.print()).toContain('10.0.0.3:');
  });

  test('a new machine takes over what is in force, and follows what changed meanwhile; nothing is listed again', async () => {
    const node = await fakeNode().running(...web);
    const before = node.tables.IPv4.print();
    let opened: (() => void) | undefined;
    const opening = new Promise<void>((resolve) => (opened = resolve));
    const replaced = node.agent.replaceMachine(makeConfiguration(), () => opening.then(() => node.machine()));
    node.set(makeSlice([makeEndpoint('10.0.0.9')]));
    await node.clock.advance(5000);
    expect(node.tables.IPv4.print()).toBe(before);
    expect(node.agent.waitingFor()).toEqual([]);
    opened?.();
    await node.clock.advance(2000);
    expect(await replaced).toBe(true);
    expect(node.tables.IPv4.print()).toContain('10.0.0.9:');
    expect(node.source.stopped).toBe(false);
    expect(
      await node.metric(
        'kubeproxy_sync_proxy_rules_no_local_endpoints_total{traffic_policy="internal",ip_family="IPv4"}',
      ),
    ).toBe(0);
    const synced = node.said('"msg":"synced"').filter((line) => line.includes('"IPv4"'));
    expect(synced.at(-1)).toContain('"endpoints":1');
  });

  test('rules that cannot be written are told of, and tried again', async () => {
    const node = await fakeNode().running(...web);
    node.tables.IPv4.failures = 1;
    const inForce = node.agent.configure(makeConfiguration({ clusterCIDRs: ['10.244.0.0/16'] }));
    await node.clock.advance(2000);
    expect(await inForce).toBe(false);
    await node.clock.advance(2000);
    expect(node.tables.IPv4.print()).toContain('! -s 10.244.0.0/16');
  });

  test('the old machine is closed before the new one is opened, and what comes afterwards comes once', async () => {
    const node = fakeNode();
    const steps: string[] = [];
    const machine = (name: string): Machine => ({
      ...node.machine(),
      afterwards: (signal) => {
        steps.push(`${name} in force`);
        return new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
      },
      close: () => steps.push(`${name} closed`),
    });
    await node.agent.start(() => Promise.resolve(machine('first')));
    node.set(...web);
    node.synced();
    await node.clock.advance(5000);
    const replaced = node.agent.replaceMachine(makeConfiguration(), () => {
      steps.push('second opened');
      return Promise.resolve(machine('second'));
    });
    await node.clock.advance(5000);
    await replaced;
    expect(steps).toEqual(['first in force', 'first closed', 'second opened', 'second in force']);
  });

  test.each<[string, Partial<ProxyConfiguration>, RegExp | undefined]>([
    ['pods that the Node does not tell', nodeCIDR, /^detectLocalMode: Node node has no podCIDRs$/],
    [
      'addresses that the Node does not have',
      { nodePortAddresses: ['primary'] },
      /^nodePortAddresses: Node node has no addr/,
    ],
    ['anything else', { masqueradeAll: true }, undefined],
  ])('%s', async (_, part, refusal) => {
    const node = await fakeNode().running(...web);
    const found = node.agent.refusal(makeConfiguration(part));
    if (refusal === undefined) expect(found).toBeUndefined();
    else expect(found).toMatch(refusal);
  });
});

test.each([
  ['that no Node has is said once', [], 1],
  ['that a Node has needs no word', [makeNode({ name: 'node' })], 0],
  ['is said also where there are other Nodes', [makeNode({ name: 'node-1' })], 1],
])('a node name %s', async (_, objects, times) => {
  const node = await fakeNode().running(...web, ...objects);
  await node.clock.advance(60_000);
  node.set(makeService({ name: 'later', clusterIPs: { IPv4: '10.96.0.40' } }));
  await node.clock.advance(60_000);
  expect(node.said('no Node is named node')).toHaveLength(times);
});

describe('a family that comes later', () => {
  const dual = makeService({ name: 'dual', clusterIPs: { IPv4: '10.96.0.20', IPv6: 'fd96::20' } });

  /** IPv6 does not answer so many times. */
  class LateNode extends FakeNode {
    asked = 0;
    readonly unserved = new Map<Family, string>([['IPv6', 'ip6tables: out of order']]);
    afterwards = 0;

    constructor(private failures: number) {
      super();
      nodes.push(this);
    }

    override machine(): Machine {
      const { backends, ...whole } = super.machine();
      const [, six] = [...backends];
      const { unserved } = this;
      const askAgain = (): Promise<typeof backends> => {
        this.asked++;
        if (this.failures-- > 0 || six === undefined) return Promise.resolve(new Map());
        unserved.delete('IPv6');
        return Promise.resolve(new Map([six]));
      };
      const late = {
        unserved,
        askAgain,
        get isSettled() {
          return unserved.size === 0;
        },
      };
      const afterwards = (): Promise<void> => {
        this.afterwards++;
        return Promise.resolve();
      };
      return { ...whole, backends: new Map([...backends].slice(0, 1)), late, afterwards };
    }
  }

  test('is served then, beside the other one, and told until then where a Service needs it', async () => {
    const node = await new LateNode(3).running(dual, ...web);
    expect(node.tables.IPv4.print()).toContain('10.96.0.20');
    expect(node.tables.IPv6.inputs).toEqual([]);
    expect(node.agent.unserved()).toEqual(['IPv6 is not served: ip6tables: out of order']);
    // What IPVS mode left in IPv6 is in use.
    expect(node.afterwards).toBe(0);
    const { length } = node.tables.IPv4.inputs;
    await node.clock.advance(30_000);
    expect(node.asked).toBe(4);
    expect(node.tables.IPv6.print()).toContain('fd96::20');
    expect(node.tables.IPv4.inputs).toHaveLength(length);
    expect(node.agent.unserved()).toEqual([]);
    expect(node.afterwards).toBe(1);
    expect(node.agent.plans.map(({ family }) => family).sort()).toEqual(['IPv4', 'IPv6']);
  });

  test('is no reason not to be ready where nobody needs it', async () => {
    const node = await new LateNode(1000).running(...web);
    expect(node.agent.unserved()).toEqual([]);
    node.set(dual);
    expect(node.agent.unserved()).toHaveLength(1);
    node.source.sink?.apply([{ op: 'delete', kind: 'Service', namespace: dual.namespace, name: dual.name }]);
    expect(node.agent.unserved()).toEqual([]);
    node.set(makeNode({ addresses: ['fd88::10'] }));
    expect(node.agent.unserved()).toHaveLength(1);
    // Some six times a minute.
    await node.clock.advance(600_000);
    expect(node.asked).toBeLessThan(80);
  });
});

describe('external IPs, in a mode that binds them', () => {
  const withExternalIP = makeService({ externalIPs: ['192.168.88.11'] });

  async function started(list: NonNullable<Source['listNodeAddresses']>): Promise<[FakeNode, string[]]> {
    const node = new FakeNode({}, list);
    nodes.push(node);
    const judged: string[] = [];
    const machine = node.machine();
    for (const backend of machine.backends.values())
      Object.assign(backend, {
        judgeAddresses: (judge: (address: string) => string) => judged.push(judge('192.168.88.11')),
      });
    await node.agent.start(() => Promise.resolve(machine));
    node.set(withExternalIP, makeSlice([makeEndpoint('10.0.1.2')]));
    node.synced();
    return [node, judged];
  }

  test('the first round waits for the list of Nodes, and the Service whose IP is a Node’s is warned of', async () => {
    const [node, judged] = await started(() => Promise.resolve(new Map([['192.168.88.11', 'node2']])));
    await node.clock.advance(1000);
    expect(node.writes).toBeGreaterThan(0);
    expect(judged.at(-1)).toBe('of a Node');
    expect(node.said('192.168.88.11 is an address of Node node2')).toHaveLength(1);
  });

  test('a list that never comes holds the first round up for five seconds', async () => {
    const [node] = await started(() => new Promise(() => undefined));
    await node.clock.advance(4000);
    expect(node.writes).toBe(0);
    expect(node.agent.waitingFor()).toEqual(['it is not known yet which addresses Nodes have']);
    await node.clock.advance(2000);
    expect(node.writes).toBeGreaterThan(0);
  });
});
