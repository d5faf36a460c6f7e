/** SIGKILL during the writes of a large change. The last write of the killed process is still going on when the next process starts. */
import {
  BusyCluster,
  busyObjects,
  idleAddress,
  idleObjects,
  idlePods,
  throughNodePort,
  throughVIP,
  toItself,
} from '../support/busy-cluster';
import { busyServices, largeNode } from '../support/kube-proxy-node';
import type { KubeProxyService } from '../support/kube-proxy-rules';
import type { IptablesVariant } from '../support/lab/proxied-node';
import { describeAsRoot } from '../support/network-namespace';
import { type Death, WatchedTools } from '../support/watched-tools';

const long = process.env['VIPWIRE_LONG'] === '1';
const services = 5000;
const endpoints = long ? 4 : 2;
/** Before it writes, a process asks the kernel what it can match. These are a few small writes. */
const latest = long ? 8 : Number.POSITIVE_INFINITY;
const deaths: readonly Death[] = ['cut', 'whole', 'written'];

/** Each connection to a NodePort passes all of kube-proxy's list first. */
const clients = [throughVIP, toItself, { ...throughNodePort, perSecond: 20 }];

const idleServices = Array.from(
  { length: services },
  (_, n): KubeProxyService => ({
    name: `default/idle-${n.toString().padStart(5, '0')}`,
    clusterIP: idleAddress(n),
    port: 80,
    endpoints: idlePods(n, endpoints).map((address) => `${address}:8080`),
  }),
);

interface Killed {
  readonly processes: number;
  readonly orphansAlive: number;
}

class KilledCluster extends BusyCluster {
  readonly tools: WatchedTools;

  constructor(variant: IptablesVariant) {
    super({ variant, clients, slow: 6, env: () => this.tools.env });
    this.tools = new WatchedTools(this.lab.directory, variant);
  }

  /** The n-th process is killed at its n-th write (at most the `latest`-th), until a process makes fewer writes than that. */
  async killUntilDone(latest: number): Promise<Killed> {
    let orphansAlive = 0;
    for (let processes = 1; processes < 100; processes++) {
      this.tools.kill(Math.min(processes, latest), deaths[processes % deaths.length] ?? 'cut');
      try {
        await this.startProxy();
        return { processes, orphansAlive };
      } catch (error) {
        if (this.tools.orphan === undefined) throw error;
        if (this.tools.orphan.alive) orphansAlive++;
      }
    }
    throw new Error(`never done:\n${this.proxy.log().slice(-2000)}`);
  }

  /** The node has the rules that the same cluster gives on a node without rules. */
  async expectAsFresh(): Promise<void> {
    const rules = await this.rules();
    await this.proxy.stop();
    this.tools.behave();
    await this.forgetRules();
    await this.startProxy();
    expect(rules).toEqual(await this.rules());
  }
}

describeAsRoot(`killed while it writes ${services} Services`, () => {
  let cluster: KilledCluster;
  afterEach(() => cluster.stop());

  const setUp = async (variant: IptablesVariant, count: number): Promise<void> => {
    cluster = new KilledCluster(variant);
    await cluster.setUp([...busyObjects, ...idleObjects(count, endpoints)]);
  };

  test.each(['nft', 'legacy'] as const)(
    '%s, over the rules of kube-proxy: no connection fails, and the rules end right',
    async (variant) => {
      await setUp(variant, services);
      await largeNode(cluster, [...busyServices, ...idleServices]);
      let killed: Killed = { processes: 0, orphansAlive: 0 };
      const wrong = await cluster.whileBusy(async () => {
        killed = await cluster.killUntilDone(latest);
      });
      expect(wrong).toEqual([]);
      expect(killed.processes).toBeGreaterThan(variant === 'nft' ? 6 : 3);
      expect(killed.orphansAlive).toBeGreaterThan(0);
      await cluster.expectAsFresh();
    },
    600_000,
  );

  (long ? test.each(['nft', 'legacy'] as const) : test.each(['nft'] as const))(
    '%s, on an empty node: the rules end right',
    async (variant) => {
      await setUp(variant, long ? services : 2000);
      const killed = await cluster.killUntilDone(latest);
      expect(killed.orphansAlive).toBeGreaterThan(0);
      await cluster.expectAsFresh();
    },
    600_000,
  );
});
