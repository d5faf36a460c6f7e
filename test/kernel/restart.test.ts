/** A process that restarts and follows its cluster. Nobody who uses a VIP notices it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { service, slice } from '../conformance/objects';
import { BusyCluster, busyObjects, idleObjects, idleService, logLines } from '../support/busy-cluster';
import { describeAsRoot } from '../support/network-namespace';

const changes = 50;

describeAsRoot('restarts and changes while VIPs are in use', () => {
  describe.each(['nft', 'legacy'] as const)('%s', (variant) => {
    let cluster: BusyCluster;
    beforeAll(async () => {
      cluster = new BusyCluster({ variant });
      await cluster.setUp([...busyObjects, ...idleObjects(changes, 2)]);
      await cluster.startProxy();
    }, 30_000);
    afterAll(() => cluster.stop());

    test('stopped and started again: no connection fails, and nothing is written', async () => {
      const before = await cluster.rules();
      const wrong = await cluster.whileBusy(async () => {
        await cluster.proxy.stop();
        expect(await cluster.rules()).toEqual(before);
        await cluster.startProxy();
      });
      expect(wrong).toEqual([]);
      expect(await cluster.rules()).toEqual(before);
      expect(logLines(cluster.proxy.log(), 'the rules stay in force')).toHaveLength(1);
    }, 60_000);

    test('its endpoints, and those of others, and other Services change: no connection fails', async () => {
      const passing = (n: number): ReturnType<typeof service> =>
        service({
          name: `passing-${n}`,
          clusterIPs: [`10.96.1.${n}`],
          type: 'NodePort',
          ports: [{ port: 80, nodePort: 31000 + n }],
        });
      const wrong = await cluster.whileBusy(async () => {
        for (let n = 0; n < changes; n++) {
          cluster.put([slice(n % 2 === 0 ? ['a', 'b'] : ['b', 'd', 'a']), ...idleService(n, 2, n + 1), passing(n)]);
          if (n > 0) cluster.api.delete('services', `default/passing-${n - 1}`);
          await sleep(100);
        }
        await cluster.apply([slice(['b', 'd'])]);
      });
      expect(wrong).toEqual([]);
      const answers = await cluster.lab.probe('a', { to: '10.96.0.10', port: 80, count: 30 });
      expect(new Set(answers.map((answer) => (answer.outcome === 'ok' ? answer.pod : answer.outcome)))).toEqual(
        new Set(['b', 'd']),
      );
      // It does not take its own writes for those of others.
      expect(logLines(cluster.proxy.log(), 'somebody else')).toEqual([]);
    }, 60_000);

    test('its last endpoint is removed and comes back: connections are refused or answered, and none is lost', async () => {
      const wrong = await cluster.whileBusy(async () => {
        for (let n = 0; n < 20; n++) {
          cluster.put([slice(n % 2 === 0 ? [] : ['c'], { service: 'self' })]);
          await sleep(150);
        }
      });
      expect(wrong.filter((line) => !line.includes('refused'))).toEqual([]);
    }, 60_000);
  });
});
