/** In nftables mode vipwire takes a node over from kube-proxy's nftables mode, and gives it back. */
import { BusyCluster, type Client } from '../support/busy-cluster';
import { nftFamilies, recordedCluster, tableAfterStart, transactionsOf } from '../support/kube-proxy-nftables';
import { describeAsRoot } from '../support/network-namespace';

const clients: readonly Client[] = [
  { from: 'b', to: '10.96.0.10', port: 80, perSecond: 50 },
  { from: 'b', to: 'fd96::a', port: 80, perSecond: 50 },
  { from: 'ext', to: '192.168.88.10', port: 30080, perSecond: 50 },
  { from: 'ext', to: '203.0.113.14', port: 80, perSecond: 50 },
  { from: 'ext', to: '2001:db8:1::13', port: 443, perSecond: 50 },
];

describeAsRoot('taking over from kube-proxy in nftables mode', () => {
  const cluster = new BusyCluster({ mode: 'nftables', config: { nodePortAddresses: ['primary'] }, clients });
  beforeAll(() => cluster.setUp(recordedCluster()), 60_000);
  afterAll(() => cluster.stop());

  const nft = async (args: readonly string[], input?: string): Promise<string> =>
    (await cluster.lab.run('node', 'nft', args, input)).stdout;

  /** Both tables, with elements in an order that says nothing of how they came. */
  async function tables(): Promise<readonly string[]> {
    const texts = await Promise.all(nftFamilies.map((family) => nft(['list', 'table', family, 'kube-proxy'])));
    return texts.flatMap((text) => text.split('\n')).sort();
  }

  async function backToKubeProxy(): Promise<void> {
    for (const family of nftFamilies) for (const { text } of transactionsOf(family)) await nft(['-f', '-'], text);
  }

  let onEmptyNode: readonly string[] = [];

  test('no connection fails, and its objects are gone', async () => {
    await cluster.startProxy();
    onEmptyNode = namesIn(await tables());
    await cluster.proxy.stop();
    for (const family of nftFamilies)
      await nft(['-f', '-'], `delete table ${family} kube-proxy\n${tableAfterStart(family)}`);
    expect(await cluster.whileBusy(() => cluster.startProxy())).toEqual([]);
    expect(namesIn(await tables())).toEqual(onEmptyNode);
  }, 120_000);

  test('back to kube-proxy and here again: no connection fails', async () => {
    await cluster.proxy.stop();
    const stays = clients.filter(({ port }) => port !== 443);
    expect(await cluster.whileBusy(backToKubeProxy, stays)).toEqual([]);
    expect(await cluster.whileBusy(() => cluster.startProxy(), stays)).toEqual([]);
    expect(namesIn(await tables())).toEqual(onEmptyNode);
  }, 120_000);
});

/** The lines that begin chains, hooks, sets and maps. */
function namesIn(lines: readonly string[]): readonly string[] {
  return lines.filter((line) => /^\t(chain|set|map) |\thook /.test(line));
}
