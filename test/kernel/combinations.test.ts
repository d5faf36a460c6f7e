import { combinationObjects, combinationProbes, combinations, probeCombinations } from '../conformance/combinations';
import { ProxiedCluster } from '../conformance/proxied-cluster';
import { vipwire } from '../support/lab/proxied-node';
import { describeAsRoot } from '../support/network-namespace';

describeAsRoot('every combination of frontend, policy, source ranges and emptiness', () => {
  describe.each(['iptables', 'nftables'] as const)('%s', (mode) => {
    const cluster = new ProxiedCluster({ mode, command: vipwire });
    beforeAll(() => cluster.start(combinationObjects), 60_000);
    afterAll(() => cluster.stop());

    test('packets go where the Plan says', async () => {
      const probes = combinationProbes({ mode });
      expect(probes).toHaveLength(combinations.length * 4 * 3 * 2);
      expect(await probeCombinations(cluster.lab, probes, 1)).toEqual([]);
    }, 240_000);
  });
});
