import { combinationObjects, combinationProbes, combinations, probeCombinations } from '../../conformance/combinations';
import { ProxiedCluster } from '../../conformance/proxied-cluster';
import { describeWithIpvs } from '../../support/ipvs-kernel';
import { vipwire } from '../../support/lab/proxied-node';
import { addresses } from '../../support/lab/topology';

describeWithIpvs('every combination of frontend, policy, source ranges and emptiness, ipvs', () => {
  const cluster = new ProxiedCluster({ mode: 'ipvs', command: vipwire, slow: 12 });
  const probes = combinationProbes({ mode: 'ipvs' });
  beforeAll(() => cluster.start(combinationObjects), 400_000);
  afterAll(() => cluster.stop(), 240_000);

  test('packets go where the Plan says', async () => {
    expect(probes).toHaveLength(combinations.length * 4 * 3 * 2);
    expect(await probeCombinations(cluster.lab, probes, 10)).toEqual([]);
  }, 600_000);

  test('the same behind an INPUT policy of DROP, which opens no other port of the node', async () => {
    const { lab } = cluster;
    const drop = `$tool -A INPUT -i lo -j ACCEPT; $tool -P INPUT DROP`;
    await lab.run('node', 'sh', ['-ec', `tool="iptables -w"; ${drop}`]);
    // In every mode, answers to the node's own packets pass INPUT. The administrator has to accept them.
    const clients = probes.filter(({ from, to }) => from !== 'node' && !to.includes(':'));
    expect(await probeCombinations(lab, clients, 10)).toEqual([]);
    const closed = { port: 9999, timeoutMs: 2000 };
    expect(await lab.probe('ext', { ...closed, to: addresses.node.IPv4 })).toEqual([{ outcome: 'timeout' }]);
    expect(await lab.probe('ext', { ...closed, to: '203.0.113.1' })).toEqual([{ outcome: 'refused' }]);
  }, 300_000);
});
