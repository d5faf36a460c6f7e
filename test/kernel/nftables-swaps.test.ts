/** Somebody's rules are on the node when vipwire starts in nftables mode. */
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodes } from '../conformance/objects';
import { BusyCluster, busyObjects, idleObjects, throughNodePort, throughVIP, toItself } from '../support/busy-cluster';
import { busyServices, fullSync } from '../support/kube-proxy-node';
import { writeConfig } from '../support/lab/proxied-node';
import { bundleGuest, describeAsRoot, guestEnvironment, runInNetworkNamespace } from '../support/network-namespace';
import { NodeTables } from '../support/node-tables';
import { until } from '../support/until';

const folder = join('test', 'recorded', 'former-nftables');
const former = readdirSync(folder).filter((file) => file.endsWith('.nft'));

const hooks = [
  'filter-forward: filter forward 0',
  'filter-input: filter input 0',
  'filter-output-pre-dnat: filter output -110',
  'filter-output: filter output 0',
  'filter-prerouting-pre-dnat: filter prerouting -110',
  'nat-output: nat output -101',
  'nat-postrouting: nat postrouting 100',
  'nat-prerouting: nat prerouting -101',
];

/** Whatever can differ in the rules of a table. */
const otherwise = {
  nftables: { masqueradeBit: 20 },
  nodePortAddresses: ['192.168.88.0/24', '10.244.0.0/16'],
  detectLocalMode: 'InterfaceNamePrefix',
  detectLocal: { interfaceNamePrefix: 'veth' },
};

const clients = [throughVIP, toItself, throughNodePort].map((client) => ({ ...client, perSecond: 50 }));
/** So many that the new table takes several transactions. */
const idleCount = 1500;

describeAsRoot('taking over in nftables mode', () => {
  test('from each recorded node: afterwards as on a node that had no rules', async () => {
    const told = await runInNetworkNamespace(join(__dirname, 'nftables-swaps-recorded.guest.ts'));
    expect(told).toEqual({ differences: {}, taken: 45 });
  }, 60_000);

  describe('on a node in use', () => {
    const cluster = new BusyCluster({ mode: 'nftables', clients });
    const tables = new NodeTables(cluster.lab);
    /** What a node gets that had no rules. */
    let fresh: readonly string[] = [];
    beforeAll(async () => {
      await cluster.setUp();
      await cluster.startProxy();
      fresh = await tables.list();
    }, 30_000);
    afterAll(() => cluster.stop());
    beforeEach(async () => {
      await cluster.proxy.stop();
      await tables.forget();
    });

    const configure = (fields: Readonly<Record<string, unknown>>): string =>
      writeConfig(cluster.lab, { mode: 'nftables', ...fields });

    async function expectTakeover(begin: () => unknown = () => undefined): Promise<void> {
      const wrong = await cluster.whileBusy(async () => {
        begin();
        await cluster.startProxy();
      });
      expect(wrong).toEqual([]);
      await expectFresh();
    }

    async function expectFresh(): Promise<void> {
      await until(async () => (await tables.list()).length === fresh.length, { limitMs: 2000, everyMs: 100 }).catch(
        () => undefined,
      );
      expect(await tables.list()).toEqual(fresh);
      expect(await tables.hooks()).toEqual(['ip', 'ip6'].flatMap((family) => hooks.map((hook) => `${family} ${hook}`)));
    }

    test.each(former)(
      "from kube-proxy's table of %s, and a second start writes nothing",
      async (file) => {
        await tables.load(readFileSync(join(folder, file), 'utf8'));
        await expectTakeover();
        const writes = await tables.writesDuring(async () => {
          await cluster.proxy.stop();
          await cluster.startProxy();
        });
        expect(writes).toEqual([]);
      },
      60_000,
    );

    test('killed after each of its transactions: none of them fails a connection, and the next process ends the work', async () => {
      const bundle = join(cluster.lab.directory, 'killed.cjs');
      const objects = join(cluster.lab.directory, 'objects.json');
      await bundleGuest(join(__dirname, 'nftables-swaps-killed.guest.ts'), bundle);
      writeFileSync(objects, JSON.stringify([...nodes, ...busyObjects, ...idleObjects(idleCount, 2)]));
      const kube = readFileSync(join(folder, '1.36.nft'), 'utf8');
      const killedAfter = async (transactions: number): Promise<boolean> => {
        const child = cluster.lab.spawn('node', process.execPath, [bundle, objects, transactions.toString()], {
          env: guestEnvironment,
        });
        await once(child, 'close');
        return child.signalCode === 'SIGKILL';
      };
      let transactions = 0;
      await tables.load(kube);
      const wrong = await cluster.whileBusy(async () => {
        do await tables.load(`delete table ip kube-proxy\n${kube}`);
        while (await killedAfter(++transactions));
      });
      expect(wrong).toEqual([]);
      // Several that make the new table, the one with the hooks, and those that remove what was there.
      expect(transactions).toBeGreaterThan(6);
      await tables.load(`delete table ip kube-proxy\n${kube}`);
      await killedAfter(3);
      await expectTakeover();
    }, 120_000);

    test("from kube-proxy's iptables mode", async () => {
      await fullSync(cluster, busyServices);
      await expectTakeover();
      await until(async () => (await cluster.rules()).every((line) => !line.includes('KUBE-')), { everyMs: 100 });
    }, 60_000);

    test('from our iptables mode', async () => {
      configure({ mode: 'iptables' });
      await cluster.startProxy();
      await cluster.proxy.stop();
      await expectTakeover(() => configure({}));
      await until(async () => (await cluster.rules()).every((line) => !line.includes('KUBE-')), { everyMs: 100 });
    }, 60_000);

    test('from our table with another configuration, in both directions', async () => {
      configure(otherwise);
      await cluster.startProxy();
      const before = await tables.list();
      expect(before).not.toEqual(fresh);
      await cluster.proxy.stop();
      await expectTakeover(() => configure({}));
      await cluster.proxy.stop();
      const wrong = await cluster.whileBusy(async () => {
        configure(otherwise);
        await cluster.startProxy();
      });
      expect(wrong).toEqual([]);
      expect(await tables.list()).toEqual(before);
      configure({});
    }, 60_000);
  });
});
