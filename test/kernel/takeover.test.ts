/** kube-proxy's rules are on the node when vipwire starts. */
import { join } from 'node:path';
import { BusyCluster } from '../support/busy-cluster';
import { busyServices, fullSync } from '../support/kube-proxy-node';
import { readRecording, recordings } from '../support/kube-proxy-rules';
import { describeAsRoot, runInNetworkNamespace } from '../support/network-namespace';
import { sortedRules } from '../support/sorted-rules';

/** Empty, in IPv6. The kubelet has a chain of that name too, so nobody removes it. */
const sharedChain = ['filter -A INPUT -j KUBE-FIREWALL', 'filter :KUBE-FIREWALL', 'filter -A OUTPUT -j KUBE-FIREWALL'];

describeAsRoot('taking over from kube-proxy', () => {
  describe.each(['nft', 'legacy'] as const)('%s', (variant) => {
    test('each recorded node is afterwards like a node that had no rules', async () => {
      const told = await runInNetworkNamespace(join(__dirname, 'takeover-recorded.guest.ts'), variant);
      expect(told).toEqual({
        differences: { 'dual-stack.1 IPv6': { extra: sharedChain, missing: [] } },
        taken: recordings.length + 1,
      });
    }, 60_000);

    describe('a node in use', () => {
      const cluster = new BusyCluster({ variant });
      beforeAll(() => cluster.setUp(), 30_000);
      afterAll(() => cluster.stop());

      test('the stand-in for kube-proxy in these tests writes what the real one wrote', async () => {
        await fullSync(cluster, busyServices.slice(0, 1));
        expect(await cluster.rules()).toEqual(sortedRules(readRecording('nodeport.1', 'v4.rules')));
      });

      test('no connection fails, and its rules are gone', async () => {
        await cluster.forgetRules();
        await fullSync(cluster, busyServices);
        const wrong = await cluster.whileBusy(() => cluster.startProxy());
        expect(wrong).toEqual([]);
        const takenOver = await cluster.rules();
        await cluster.proxy.stop();
        await cluster.forgetRules();
        await cluster.startProxy();
        expect(takenOver).toEqual(await cluster.rules());
        expect(takenOver.filter((line) => line.includes('KUBE-SEP-'))).toEqual([]);
      }, 60_000);
    });
  });
});
