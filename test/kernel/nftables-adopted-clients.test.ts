/** Session affinity over a takeover from kube-proxy's nftables mode. */
import { BusyCluster } from '../support/busy-cluster';
import { nftFamilies, recordedCluster, transactionsOf } from '../support/kube-proxy-nftables';
import { describeAsRoot } from '../support/network-namespace';
import { NodeTables } from '../support/node-tables';

describeAsRoot('clients that kube-proxy remembers', () => {
  test('stay with their pods', async () => {
    const cluster = new BusyCluster({ mode: 'nftables' });
    try {
      await cluster.setUp(recordedCluster());
      const tables = new NodeTables(cluster.lab);
      for (const family of nftFamilies) await tables.load(transactionsOf(family)[0]?.text ?? '');
      const podsOfClients = (): Promise<readonly string[]> =>
        Promise.all(
          (['b', 'c', 'node', 'node2', 'ext'] as const).flatMap((from) =>
            ['10.96.0.12', 'fd96::c'].map(async (to) => {
              const answers = await cluster.lab.probe(from, { to, port: 80, count: 5 });
              const pods = new Set(answers.map((answer) => (answer.outcome === 'ok' ? answer.pod : answer.outcome)));
              return `${from} -> ${to}: ${[...pods].join(' ')}`;
            }),
          ),
        );
      const before = await podsOfClients();
      expect(before.filter((line) => !/: [ad]$/.test(line))).toEqual([]);
      await cluster.startProxy();
      expect(await podsOfClients()).toEqual(before);
    } finally {
      await cluster.stop();
    }
  }, 60_000);
});
