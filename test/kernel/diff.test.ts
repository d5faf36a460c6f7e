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

  describe('nftables', () => {
    const cluster = new BusyCluster({ mode: 'nftables' });
    beforeAll(async () => {
      await cluster.setUp([...busyObjects, ...idleObjects(50, 3)]);
      await cluster.startProxy();
      await cluster.proxy.stop();
    }, 60_000);
    afterAll(() => cluster.stop());
    const nft = (...args: readonly string[]): Promise<unknown> => cluster.lab.run('node', 'nft', args);
    const slot = '10.96.0.10 . tcp . 80 . 0';

    test('as it should be', async () => {
      const diff = await askNode(cluster, 'diff');
      expect(diff.stdout).toMatch(/^IPv4, node node, nftables mode: \d+ services: as it should be\n/);
      expect(diff.code).toBe(0);
      const compared = await askNode(cluster, 'compare');
      expect(compared.stdout).toMatch(/^IPv4, node node, nftables mode: \d+ services, \d+ frontends: the same\n/);
      expect(compared.code).toBe(0);
    }, 30_000);

    test('explain names the chain and the elements that decide', async () => {
      const { code, stdout } = await askNode(cluster, 'explain', 'outside', '10.96.0.10:80');
      expect(stdout).toMatch(/map vipwire-vips +10\.96\.0\.10 \. tcp \. 80 comment "default\/web" : goto vipwire-/);
      expect(stdout).toMatch(/map vipwire-endpoints +33 % +10\.96\.0\.10 \. tcp \. 80 \. [012] : 10\.244\./);
      expect(stdout).not.toContain('BUT');
      expect(code).toBe(0);
    }, 30_000);

    test('an endpoint that somebody removed', async () => {
      await nft('delete', 'element', 'ip', 'kube-proxy', 'vipwire-endpoints', `{ ${slot} }`);
      const { code, stdout } = await askNode(cluster, 'diff');
      expect(stdout).toContain('default/web: edited by somebody else: 1 too many, 1 missing\n');
      expect(stdout).toMatch(/10\.96\.0\.10 \. tcp \. 80 has fewer endpoints than vipwire-\S+ picks from\n/);
      expect(code).toBe(1);
      const compared = await askNode(cluster, 'compare');
      expect(compared.stdout).toMatch(/share missing +33\.3 % reach nobody/);
      expect(compared.code).toBe(1);
    }, 30_000);
  });
});
