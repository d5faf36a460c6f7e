/** diff and compare on a node at work, and after somebody had a hand in its rules. */
import { askNode } from '../support/ask-node';
import { BusyCluster, busyObjects, idleObjects } from '../support/busy-cluster';
import { describeAsRoot } from '../support/network-namespace';

const webChain = 'KUBE-SVC-LOLE4ISW44XBNF3G';

describeAsRoot('diff and compare', () => {
  describe.each(['nft', 'legacy'] as const)('%s', (variant) => {
    const cluster = new BusyCluster({ variant });
    beforeAll(async () => {
      await cluster.setUp([...busyObjects, ...idleObjects(50, 3)]);
      await cluster.startProxy();
      await cluster.proxy.stop();
    }, 60_000);
    afterAll(() => cluster.stop());

    test('as it should be', async () => {
      const diff = await askNode(cluster, 'diff');
      expect(diff.stdout).toMatch(/^IPv4, node node, iptables mode: \d+ services: as it should be\n/);
      expect(diff.code).toBe(0);
      const compared = await askNode(cluster, 'compare');
      expect(compared.stdout).toMatch(/^IPv4, node node, iptables mode: \d+ services, \d+ frontends: the same\n/);
      expect(compared.code).toBe(0);
    }, 30_000);

    test('a rule of somebody else, and what it does', async () => {
      await cluster.iptables('-t', 'nat', '-I', webChain, '-s', '192.168.88.100/32', '-j', 'ACCEPT');
      const { code, stdout } = await askNode(cluster, 'diff');
      expect(stdout).toContain('default/web: edited by somebody else: 1 too many, 0 missing\n');
      expect(stdout).toContain(`  added: -A ${webChain} -s 192.168.88.100/32 -j ACCEPT\n`);
      expect(code).toBe(1);
      const compared = await askNode(cluster, 'compare');
      expect(compared.stdout).toMatch(/verdict missing +untouched, should be forwarded +from 192\.168\.88\.100\/32\n/);
      expect(compared.code).toBe(1);
      await cluster.iptables('-t', 'nat', '-D', webChain, '1');
    }, 30_000);

    test('a change while the proxy is away is stale', async () => {
      cluster.put(idleObjects(51, 3));
      const { stdout } = await askNode(cluster, 'diff', '--output', 'summary');
      expect(stdout).toMatch(/ services: 1 stale(, differences that belong to no Service)?\n/);
      expect(stdout).toMatch(/^default\/idle-00050: stale: 0 too many, \d+ missing\n {2}/m);
    }, 30_000);
  });
});
