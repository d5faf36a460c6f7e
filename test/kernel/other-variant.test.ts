/** A proxy's rules in the other iptables variant go once ours are in force, unless somebody uses them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { BusyCluster, logLines } from '../support/busy-cluster';
import { formerRules, kubeletChain, readFormer } from '../support/former/rules';
import { describeAsRoot } from '../support/network-namespace';

const [rulesFile = ''] = formerRules;
const left = readFormer(rulesFile).replaceAll(kubeletChain, '');
const removed = 'removed what a proxy had left in the other iptables variant';
const stay = 'rules in the other iptables variant stay';

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
    const said = async (text: string): Promise<string[]> => {
      for (let waitedMs = 0; waitedMs < 20_000; waitedMs += 100) {
        const lines = logLines(cluster.proxy.log(), text);
        if (lines.length > 0) return lines;
        await sleep(100);
      }
      throw new Error(`never said "${text}":\n${cluster.proxy.log().slice(-2000)}`);
    };
    beforeEach(async () => {
      await cluster.forgetRules();
      const tool = cluster.tool('', other);
      const clear = ['nat', 'filter', 'mangle'].map((table) => `${tool} -t ${table} -F; ${tool} -t ${table} -X`);
      await cluster.lab.run('node', 'sh', ['-ec', [...clear, `${tool} -P FORWARD ACCEPT`].join('; ')]);
    });
    afterEach(() => cluster.proxy.stop());

    test('they go when ours are in force, and rules of others stay', async () => {
      await restoreOther(left);
      await restoreOther('*nat\n:MINE - [0:0]\n-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE\nCOMMIT\n');
      await cluster.startProxy();
      await said(removed);
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
      const [line = ''] = await said(stay);
      expect(line).toContain('FORWARD chain is DROP');
      expect(line).toContain(`vipwire cleanup --iptables-variant=${other}`);
      expect(await cluster.rules(other)).toEqual(before);
    }, 60_000);
  });

  test('legacy tables that nobody has are not loaded by looking', async () => {
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
