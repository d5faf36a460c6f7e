/** Other programs write to iptables on the node too. Their rules stay as they are, and both work. */
import { setTimeout as sleep } from 'node:timers/promises';
import { service, slice } from '../conformance/objects';
import { BusyCluster, busyObjects, logLines } from '../support/busy-cluster';
import { nodeEchoPort } from '../support/lab/topology';
import { calico, cilium, flannel, kubelet, type Neighbour, nodeLocalDns } from '../support/neighbours';
import { describeAsRoot } from '../support/network-namespace';

const dns = '10.96.0.53';
const objects = [
  ...busyObjects,
  ...[service({ name: 'dns', clusterIPs: [dns], ports: [{ port: nodeEchoPort, targetPort: 8080 }] })],
  slice(['d'], { service: 'dns' }),
];
const resolver = nodeLocalDns(dns, nodeEchoPort);

describeAsRoot('neighbours', () => {
  describe.each<[string, readonly Neighbour[]]>([
    ['Calico, the kubelet, NodeLocal DNSCache', [calico, kubelet, resolver]],
    ['Cilium, the kubelet', [cilium, kubelet]],
    ['flannel, portmap, the kubelet', [flannel, kubelet]],
  ])('%s', (_names, neighbours) => {
    const cluster = new BusyCluster({ variant: 'nft' });
    const shell = (script: string): Promise<unknown> =>
      cluster.lab.run('node', 'sh', ['-ec', script.replaceAll(/^iptables /gm, 'iptables-nft ')]);
    /** Their rules, in the order of each chain. */
    const foreign = async (): Promise<string[]> => {
      const { stdout } = await cluster.lab.run('node', 'iptables-nft-save', []);
      return stdout
        .split('\n')
        .map((line) => line.replace(/ \[\d+:\d+\]$/, ''))
        .filter((line) => !line.startsWith('#') && (/KUBELET|HINT/.test(line) || !/KUBE-/.test(line)));
    };
    let before: string[];

    beforeAll(async () => {
      await cluster.setUp(objects);
      for (const { setUp = '', rules } of neighbours) {
        await shell(setUp);
        await cluster.restore(rules, '--noflush');
      }
      before = await foreign();
      expect(before.length).toBeGreaterThan(12);
      await cluster.startProxy();
    }, 30_000);
    afterAll(() => cluster.stop());

    test('every VIP works, and their rules are as they were', async () => {
      expect(await cluster.whileBusy(() => sleep(500))).toEqual([]);
      expect(await foreign()).toEqual(before);
    }, 20_000);

    test('rules that they put on top stay there', async () => {
      for (const [table, chain, rule] of neighbours.flatMap(({ onTop }) => onTop))
        await shell(`iptables -t ${table} -D ${chain} ${rule}\niptables -t ${table} -I ${chain} ${rule}`);
      const after = await foreign();
      // Long enough for a check of what somebody wrote.
      await sleep(2500);
      expect(await cluster.whileBusy(() => sleep(200))).toEqual([]);
      expect(await foreign()).toEqual(after);
      expect(logLines(cluster.proxy.log(), 'somebody else changed our rules')).toEqual([]);
    }, 20_000);

    test('clean-up leaves their rules', async () => {
      await cluster.proxy.stop();
      const [node = '', script = ''] = cluster.command.filter((word) => /node$|vipwire\.cjs$/.test(word));
      await cluster.lab.run('node', node, [script, 'cleanup']);
      expect((await foreign()).sort()).toEqual([...before].sort());
      expect((await cluster.rules()).filter((line) => /KUBE-(SERVICES|SVC|EXT|POSTROUTING)/.test(line))).toEqual([]);
      await cluster.startProxy();
    }, 30_000);

    if (neighbours.includes(resolver))
      test('NodeLocal DNSCache answers on the address of the DNS Service, and the pods when it has gone', async () => {
        const ask = async (): Promise<unknown> => {
          const [answer] = await cluster.lab.probe('b', { to: dns, port: nodeEchoPort, timeoutMs: 3000 });
          return answer?.outcome === 'ok' ? answer.pod : answer?.outcome;
        };
        expect(await ask()).toBe('node');
        await shell('ip link delete nodelocaldns\niptables -t raw -F PREROUTING\niptables -t raw -F OUTPUT');
        expect(await ask()).toBe('d');
      }, 20_000);
  });
});
