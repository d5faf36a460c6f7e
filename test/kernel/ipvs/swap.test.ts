/** From kube-proxy in one mode to vipwire in the other, and back. */
import { asInContainer } from '../../support/as-in-container';
import { BusyCluster, busyObjects, throughNodePort, throughVIP } from '../../support/busy-cluster';
import { describeWithIpvs, guestRate } from '../../support/ipvs-kernel';
import { IpvsNode } from '../../support/ipvs-node';
import { busyServices, fullSync } from '../../support/kube-proxy-node';
import { Lab } from '../../support/lab/lab';
import { vipwire } from '../../support/lab/proxied-node';
import { until } from '../../support/until';

const options = {
  clients: [throughVIP, throughNodePort].map((client) => ({ ...client, perSecond: guestRate })),
  slow: 2,
} as const;
/** What was recorded of IPVS mode has no second Service. */
const services = busyServices.slice(0, 1);
const objects = busyObjects.slice(0, 2);

describeWithIpvs('kube-proxy and vipwire, of different modes', () => {
  const lab = new Lab();
  const node = new IpvsNode(lab);
  beforeAll(() => lab.start(), 240_000);
  afterAll(() => lab.stop());

  test('from iptables mode to IPVS mode and back: no connection fails', async () => {
    // With the rights of a Pod, after its init container.
    const cluster = new BusyCluster({ ...options, mode: 'ipvs', lab, within: asInContainer });
    try {
      await cluster.setUp(objects);
      const config = cluster.command.filter((word) => word.startsWith('--config='));
      await lab.run('node', 'env', [...vipwire, '--init-only', ...config]);
      await fullSync(cluster, services);
      expect(await cluster.whileBusy(() => cluster.startProxy())).toEqual([]);
      expect((await node.state()).rules.filter((line) => /KUBE-(SVC|SEP|EXT)-/.test(line))).toEqual([]);
      await cluster.proxy.stop();
      expect(await cluster.whileBusy(() => fullSync(cluster, services))).toEqual([]);
      const { servers, addresses } = await node.state();
      // As after kube-proxy's own IPVS mode: it cleans up after no mode but nftables. `vipwire cleanup` is for that.
      expect([servers.length > 0, addresses.length > 0]).toEqual([true, true]);
    } finally {
      await cluster.stop();
    }
  }, 240_000);

  test('from IPVS mode to iptables mode: no connection fails, and after the limit nothing of IPVS stays', async () => {
    const cluster = new BusyCluster({ ...options, lab, flags: ['--ipvs-drain-limit=15s'] });
    try {
      await cluster.setUp(objects);
      await node.loadRecording('nodeport.1');
      // Those that began in IPVS mode go on behind its servers.
      expect(await cluster.whileBusy(() => cluster.startProxy())).toEqual([]);
      const left = async (): Promise<number> => {
        const { servers, addresses, sets } = await node.state();
        return servers.length + addresses.length + sets.length;
      };
      await until(async () => (await left()) === 0, { what: 'nothing of IPVS', limitMs: 240_000, everyMs: 1000 });
    } finally {
      await cluster.stop();
    }
  }, 400_000);
});
