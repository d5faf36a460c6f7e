/** nftables mode: somebody else writes to our table, or beside it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { slice } from '../conformance/objects';
import {
  BusyCluster,
  busyObjects,
  idleObjects,
  idleService,
  logLines,
  throughVIP,
  toItself,
} from '../support/busy-cluster';
import { addresses } from '../support/lab/topology';
import { describeAsRoot } from '../support/network-namespace';
import { until } from '../support/until';

/** Input of nft -f. */
type Edit = readonly [name: string, script: string];

const edits: readonly Edit[] = [
  ['the table flushed', 'flush table ip kube-proxy'],
  ['the table deleted', 'delete table ip kube-proxy'],
  ['everything flushed', 'flush ruleset'],
  ['a hook deleted', 'flush chain ip kube-proxy nat-output; delete chain ip kube-proxy nat-output'],
  ['a map flushed', 'flush map ip kube-proxy vipwire-endpoints'],
  [
    'a map deleted',
    `flush chain ip kube-proxy filter-prerouting-pre-dnat; flush chain ip kube-proxy filter-output-pre-dnat
     delete map ip kube-proxy vipwire-restricted-vips`,
  ],
  ['an element deleted', 'delete element ip kube-proxy vipwire-vips { 10.96.0.10 . tcp . 80 }'],
  [
    'an endpoint replaced',
    `delete element ip kube-proxy vipwire-endpoints { 10.96.0.11 . tcp . 80 . 0 }
     add element ip kube-proxy vipwire-endpoints { 10.96.0.11 . tcp . 80 . 0 : 10.244.1.2 . 8080 }`,
  ],
  ['an element added', 'add element ip kube-proxy vipwire-vips { 10.96.0.99 . tcp . 80 : goto vipwire-others-pick-1 }'],
  ['a chain added', 'add chain ip kube-proxy theirs; add rule ip kube-proxy theirs accept'],
  ['a rule put among ours', 'insert rule ip kube-proxy nat-prerouting ip daddr 10.96.0.10 return'],
];

/** As a CNI does for its pods: 8 s of it. */
const writeBeside =
  'nft add table ip cni; nft add chain ip cni pods; for n in $(seq 80); do nft add rule ip cni pods ip daddr 10.244.1.$n return; sleep 0.1; done';

class EditedTable extends BusyCluster {
  constructor() {
    super({ mode: 'nftables', clients: [throughVIP, toItself], slow: 3 });
  }

  async edit(script: string): Promise<void> {
    await this.lab.run('node', 'nft', ['-f', '-'], `${script}\n`);
  }

  /** Milliseconds from the edit to the table as it was before it. */
  async repairMs(script: string, limitMs: number): Promise<number> {
    const before = await this.rules();
    const repairs = await this.repairs();
    await this.edit(script);
    const isRepaired = async (): Promise<boolean> => {
      if ((await this.repairs()) === repairs) return false;
      expect(await this.rules()).toEqual(before);
      return true;
    };
    return this.untilTrue(isRepaired, limitMs);
  }

  untilTrue(condition: () => Promise<boolean>, limitMs: number): Promise<number> {
    return until(condition, { limitMs, everyMs: 20, details: () => this.proxy.log().slice(-1500) });
  }

  /** By the metric, of both families. */
  async repairs(): Promise<number> {
    const { body } = await this.lab.http('node', 'http://127.0.0.1:10249/metrics', 10_000);
    const values = [...body.matchAll(/^vipwire_drift_repairs_total(?:{.*})? (\d+)$/gm)];
    return values.reduce((sum, [, value]) => sum + Number(value), 0);
  }

  endpointsOfWeb(): Promise<string[]> {
    return this.rules().then((lines) =>
      lines.filter((line) => line.startsWith('map vipwire-endpoints ') && line.includes('"10.96.0.10"')),
    );
  }
}

describeAsRoot('somebody else writes to the table of nftables mode', () => {
  describe.each([10, 2000])('%d Services', (services) => {
    const cluster = new EditedTable();
    beforeAll(async () => {
      await cluster.setUp([...busyObjects, ...idleObjects(services, 2)]);
      await cluster.startProxy();
    }, 180_000);
    afterAll(() => cluster.stop());

    test.each(edits)(
      '%s: put right in time, logged and counted',
      async (_, script) => {
        const told = logLines(cluster.proxy.log(), 'somebody else changed our rules').length;
        expect(await cluster.repairMs(script, 60_000)).toBeLessThan(2000);
        expect(logLines(cluster.proxy.log(), 'somebody else changed our rules').length).toBeGreaterThan(told);
      },
      90_000,
    );

    test('and connections are answered as before', async () => {
      expect(await cluster.whileBusy(() => Promise.resolve())).toEqual([]);
    }, 60_000);

    test('changes of its own are not taken for those of others', async () => {
      const repairs = await cluster.repairs();
      for (let n = 0; n < 50; n++) {
        cluster.put(idleService(n % services, 2, n + 1));
        await sleep(20);
      }
      await cluster.apply(idleService(0, 2));
      expect(await cluster.repairs()).toBe(repairs);
    }, 60_000);

    test('ten writes a second beside ours: changes go through, and ours is put right', async () => {
      const repairs = await cluster.repairs();
      const beside = cluster.lab.run('node', 'sh', ['-c', writeBeside]);
      for (const pod of ['a', 'd', 'b'] as const) {
        cluster.put([slice([pod])]);
        const isSo = async (): Promise<boolean> => {
          const lines = await cluster.endpointsOfWeb();
          return lines.length === 1 && lines[0]?.includes(`"${addresses[pod].IPv4}"`) === true;
        };
        await cluster.untilTrue(isSo, 60_000);
      }
      expect(await cluster.repairs()).toBe(repairs);
      await cluster.edit('delete element ip kube-proxy vipwire-vips { 10.96.0.11 . tcp . 80 }');
      await cluster.untilTrue(async () => (await cluster.repairs()) === repairs + 1, 60_000);
      await beside;
      expect(await cluster.whileBusy(() => Promise.resolve())).toEqual([]);
    }, 180_000);
  });
});
