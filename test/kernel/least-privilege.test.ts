/** The daemon with the rights that manifests/ and the systemd unit give it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { asInContainer } from '../support/as-in-container';
import { BusyCluster, logLines } from '../support/busy-cluster';
import { vipwire } from '../support/lab/proxied-node';
import { describeAsRoot } from '../support/network-namespace';

describeAsRoot('with NET_ADMIN and NET_RAW alone, and a read-only root', () => {
  describe.each(['nft', 'legacy'] as const)('%s', (variant) => {
    // The kubelet has set it.
    const cluster = new BusyCluster({ variant, within: asInContainer, config: { oomScoreAdj: 0 } });
    const unmet = (): string[] => logLines(cluster.proxy.log(), 'could not be written');

    beforeAll(() => cluster.setUp(), 20_000);
    afterAll(() => cluster.stop());

    test('without the init container everything works except NodePorts on localhost, and one line says why', async () => {
      await cluster.startProxy();
      expect(await cluster.whileBusy(() => sleep(500))).toEqual([]);
      expect(unmet()).toHaveLength(1);
      expect(unmet()[0]).toContain(
        'net.ipv4.conf.all.route_localnet=1 (iptables.localhostNodePorts; now 0; EROFS: /proc/sys is mounted read-only)',
      );
      await cluster.proxy.stop();
    }, 30_000);

    test('after the init container nothing is logged', async () => {
      const [node = '', script = ''] = vipwire;
      const config = cluster.command.filter((arg) => arg.startsWith('--config='));
      await cluster.lab.run('node', node, [script, '--init-only', ...config]);
      await cluster.startProxy();
      expect(await cluster.whileBusy(() => sleep(500))).toEqual([]);
      expect(unmet()).toHaveLength(1);
    }, 30_000);
  });
});
