import type { Machine } from '../../src/machine/machine';
import type { Family } from '../../src/model/address';
import { makeNode, makeService } from '../support/cluster-objects';
import { FakeNode, stopNodes, web } from './fake-node';

afterEach(stopNodes);

describe('a family that comes later', () => {
  const dual = makeService({ name: 'dual', clusterIPs: { IPv4: '10.96.0.20', IPv6: 'fd96::20' } });

  /** IPv6 does not answer so many times. */
  class LateNode extends FakeNode {
    asked = 0;
    readonly unserved = new Map<Family, string>([['IPv6', 'ip6tables: out of order']]);
    afterwards = 0;

    constructor(private failures: number) {
      super();
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

test('what the kernel does not let go is counted once, after a round and as time passes', async () => {
  class BusyNode extends FakeNode {
    refuse: (cleanupFailures: number) => void = () => undefined;

    override machine(): Machine {
      const machine = super.machine();
      const backend = machine.backends.get('IPv4');
      this.refuse = (cleanupFailures) => Object.assign(backend ?? {}, { cleanupFailures });
      Object.assign(backend ?? {}, { tend: () => Promise.resolve() });
      this.refuse(2);
      return machine;
    }
  }
  const node = await new BusyNode().running(...web);
  const counted = async (): Promise<string | undefined> =>
    /nftables_cleanup_failures_total\{ip_family="IPv4"\} (\d+)/.exec(await node.metrics.print('nftables'))?.[1];
  expect(await counted()).toBe('2');
  await node.clock.advance(20_000);
  expect(await counted()).toBe('2');
  node.refuse(3);
  await node.clock.advance(20_000);
  expect(await counted()).toBe('3');
});
