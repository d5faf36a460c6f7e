/** A node changes between modes while VIPs are in use: the new rules are complete before the old ones go. */
import { setTimeout as sleep } from 'node:timers/promises';
import { BusyCluster, logLines, throughNodePort, throughVIP, toItself } from '../support/busy-cluster';
import { vipwire } from '../support/lab/proxied-node';
import { describeAsRoot } from '../support/network-namespace';
import { until } from '../support/until';

/** A change of the mode takes some seconds. */
const clients = [throughVIP, toItself, throughNodePort].map((client) => ({ ...client, perSecond: 50 }));
const allAddresses = { nodePortAddresses: ['all'] };

describeAsRoot('from one mode to another', () => {
  describe.each(['nft', 'legacy'] as const)('iptables %s and nftables', (variant) => {
    const cluster = new BusyCluster({ variant, clients });
    beforeAll(async () => {
      await cluster.setUp();
      await cluster.startProxy();
    }, 30_000);
    afterAll(() => cluster.stop());

    const said = async (text: string, times: number): Promise<void> => {
      const details = (): string => cluster.proxy.log().slice(-3000);
      const isSaid = (): boolean => logLines(cluster.proxy.log(), text).length >= times;
      await until(isSaid, { what: `the line "${text}"`, limitMs: 30_000, everyMs: 100, details });
    };
    const tables = async (): Promise<string> => (await cluster.lab.run('node', 'nft', ['list', 'tables'])).stdout;
    const iptablesRules = async (): Promise<string[]> =>
      (await cluster.rules(variant)).filter((rule) => rule.includes('KUBE'));

    test('there and back in one process: no connection fails, and nothing of the old mode stays', async () => {
      expect((await iptablesRules()).length).toBeGreaterThan(0);
      const wrong = await cluster.whileBusy(async () => {
        expect(await cluster.reconfigure({ mode: 'nftables', ...allAddresses })).toContain('is in force');
        // IPv4 and IPv6.
        await said('removed what a proxy had left in the', 2);
        expect(await iptablesRules()).toEqual([]);
        expect(await tables()).toMatch(/table ip kube-proxy\n[^]*table ip6 kube-proxy/);
        await sleep(500);
        expect(await cluster.reconfigure({})).toContain('is in force');
        await said('removed what nftables mode had left', 1);
        expect(await tables()).not.toContain('kube-proxy');
        await sleep(500);
      });
      expect(wrong).toEqual([]);
      expect((await iptablesRules()).length).toBeGreaterThan(0);
    }, 90_000);

    test('where the policy is DROP, the old rules stay, and the log says why', async () => {
      const policy = (target: string): Promise<unknown> =>
        cluster.lab.run('node', cluster.tool('', variant), ['-P', 'FORWARD', target]);
      await policy('DROP');
      try {
        const rules = await iptablesRules();
        expect(await cluster.reconfigure({ mode: 'nftables', ...allAddresses })).toContain('is in force');
        await said(`rules in the ${variant} variant of iptables stay`, 1);
        expect(logLines(cluster.proxy.log(), 'FORWARD chain is DROP')).not.toEqual([]);
        expect(await iptablesRules()).toEqual(rules);
      } finally {
        await policy('ACCEPT');
      }
      expect(await cluster.reconfigure({})).toContain('is in force');
    }, 60_000);
  });

  test('without any tool: nftables mode serves, and names the rules of iptables that it cannot remove', async () => {
    const cluster = new BusyCluster({
      ...{ mode: 'nftables', clients, config: allAddresses },
      env: () => ({ PATH: '/nowhere' }),
    });
    try {
      await cluster.setUp();
      const old = ['*nat', ':KUBE-SERVICES - [0:0]', 'COMMIT', ''].join('\n');
      await cluster.lab.run('node', 'iptables-nft-restore', ['--noflush'], old);
      await cluster.startProxy();
      expect(await cluster.whileBusy(() => sleep(500))).toEqual([]);
      const [line = ''] = logLines(cluster.proxy.log(), 'rules in the nft variant of iptables stay');
      expect(line).toContain('ip nat has some, and iptables-nft-save is not there');
    } finally {
      await cluster.stop();
    }
  }, 60_000);

  test('with IPv6 switched off, IPv4 is served, and one warning says so', async () => {
    const cluster = new BusyCluster({ mode: 'nftables', clients, config: allAddresses });
    try {
      await cluster.setUp();
      await cluster.lab.run('node', 'sysctl', ['-w', 'net.ipv6.conf.all.disable_ipv6=1']);
      await cluster.startProxy();
      expect(await cluster.whileBusy(() => sleep(500))).toEqual([]);
      expect(logLines(cluster.proxy.log(), 'this machine does not have the family')).toHaveLength(1);
      const [node = '', bundle = ''] = vipwire;
      await cluster.lab.run('node', node, [bundle, 'status']);
    } finally {
      await cluster.stop();
    }
  }, 60_000);
});
