/** A proxy's rules in the other iptables variant and of nftables mode are removed once ours are in force, unless somebody uses them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { BusyCluster, logLines, throughVIP } from '../support/busy-cluster';
import { formerRules, kubeletChain, readFormer } from '../support/former-rules';
import { describeAsRoot } from '../support/network-namespace';
import { until } from '../support/until';

const [rulesFile = ''] = formerRules;
const left = readFormer(rulesFile).replaceAll(kubeletChain, '');
const removed = 'removed what a proxy had left in the other iptables variant';
const stay = 'rules in the other iptables variant stay';

async function said(cluster: BusyCluster, text: string): Promise<string[]> {
  const lines = (): string[] => logLines(cluster.proxy.log(), text);
  const details = (): string => cluster.proxy.log().slice(-2000);
  await until(() => lines().length > 0, { what: `the line "${text}"`, limitMs: 20_000, everyMs: 100, details });
  return lines();
}

describeAsRoot('rules in the other iptables variant', () => {
  describe.each([
    ['nft', 'legacy'],
    ['legacy', 'nft'],
  ] as const)('with %s in use', (variant, other) => {
    const cluster = new BusyCluster({ variant });
    beforeAll(() => cluster.setUp(), 30_000);
    afterAll(() => cluster.stop());

    const restoreOther = (input: string): Promise<unknown> =>
      cluster.lab.run('node', cluster.tool('-restore', other), ['--noflush'], input);
    beforeEach(async () => {
      await cluster.forgetRules();
      const tool = cluster.tool('', other);
      const clear = ['nat', 'filter', 'mangle'].map((table) => `${tool} -t ${table} -F; ${tool} -t ${table} -X`);
      await cluster.lab.run('node', 'sh', ['-ec', [...clear, `${tool} -P FORWARD ACCEPT`].join('; ')]);
    });
    afterEach(() => cluster.proxy.stop());

    test('they are removed when ours are in force, and rules of others stay', async () => {
      await restoreOther(left);
      await restoreOther('*nat\n:MINE - [0:0]\n-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE\nCOMMIT\n');
      await cluster.startProxy();
      await said(cluster, removed);
      expect([...(await cluster.rules(other))].sort()).toEqual([
        'nat -A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE',
        'nat :MINE',
      ]);
    }, 60_000);

    test('where that table drops what it does not know they stay, and the command that removes them is named', async () => {
      await restoreOther(left);
      await cluster.lab.run('node', cluster.tool('', other), ['-P', 'FORWARD', 'DROP']);
      const before = await cluster.rules(other);
      await cluster.startProxy();
      const [line = ''] = await said(cluster, stay);
      expect(line).toContain('FORWARD chain is DROP');
      expect(line).toContain(`vipwire cleanup --iptables-variant=${other}`);
      expect(await cluster.rules(other)).toEqual(before);
    }, 60_000);
  });

  test('looking does not load legacy tables that nobody has', async () => {
    const cluster = new BusyCluster({ variant: 'nft' });
    try {
      await cluster.setUp();
      const names = (): Promise<string> => cluster.lab.read('node', '/proc/net/ip_tables_names');
      const before = await names();
      await cluster.startProxy();
      await sleep(1000);
      expect(await names()).toBe(before);
    } finally {
      await cluster.stop();
    }
  }, 60_000);
});

/** What kube-proxy's nftables mode leaves. Here it leads the test's VIP to a pod that no longer exists. */
const nftRules = ['ip', 'ip6']
  .map(
    (family) => `table ${family} kube-proxy {
  map service-ips { type ${family === 'ip' ? 'ipv4' : 'ipv6'}_addr . inet_proto . inet_service : verdict; }
  chain nat-prerouting { type nat hook prerouting priority -110; ${family === 'ip' ? 'ip daddr 10.96.0.10 dnat to 10.244.9.9' : ''}; }
}`,
  )
  .join('\n');

describeAsRoot('tables of nftables mode', () => {
  describe.each(['nft', 'legacy'] as const)('with iptables %s', (variant) => {
    const cluster = new BusyCluster({ variant, clients: [throughVIP] });
    beforeAll(() => cluster.setUp(), 30_000);
    afterAll(() => cluster.stop());
    beforeEach(async () => {
      await cluster.lab.run('node', 'nft', ['-f', '-'], nftRules);
    });
    afterEach(() => cluster.proxy.stop());

    const tables = async (): Promise<string> => (await cluster.lab.run('node', 'nft', ['list', 'tables'])).stdout;

    test('they are removed when our rules are in force, and the VIP is answered', async () => {
      await cluster.lab.run('node', 'nft', ['add', 'table', 'inet', 'kube-proxy']);
      await cluster.startProxy();
      await said(cluster, 'removed what nftables mode had left');
      expect(await tables()).not.toMatch(/table ip6? kube-proxy/);
      expect(await tables()).toContain('table inet kube-proxy');
      expect(await cluster.whileBusy(() => sleep(500))).toEqual([]);
    }, 60_000);

    test('where a kube-proxy runs here they stay, and the log says why', async () => {
      const other = cluster.lab.spawn('node', 'bash', ['-c', 'exec -a /usr/local/bin/kube-proxy sleep 600']);
      try {
        await cluster.startProxy();
        const [line] = await said(cluster, 'rules of nftables mode stay');
        expect(line).toContain(`kube-proxy runs here (pid ${other.pid})`);
        expect(await tables()).toMatch(/table ip kube-proxy\ntable ip6 kube-proxy/);
      } finally {
        other.kill('SIGKILL');
      }
    }, 60_000);
  });
});
