/** The node gets an address, and loses it: its NodePorts follow. */
import { setTimeout as sleep } from 'node:timers/promises';
import { service, slice } from '../../conformance/objects';
import { ProxiedCluster } from '../../conformance/proxied-cluster';
import { describeWithIpvs } from '../../support/ipvs-kernel';
import { vipwire } from '../../support/lab/proxied-node';

const slow = 12;
const nodePort = 30080;
const added = '192.168.88.50';

describeWithIpvs('addresses of the node, ipvs', () => {
  const cluster = new ProxiedCluster({ mode: 'ipvs', command: vipwire, slow });
  const { lab } = cluster;
  beforeAll(
    () =>
      cluster.start([service({ type: 'NodePort', ports: [{ port: 80, targetPort: 8080, nodePort }] }), slice(['a'])]),
    400_000,
  );
  afterAll(() => cluster.stop(), 60_000);

  /** Milliseconds until the address answers so. */
  const until = async (outcome: string, mostMs: number): Promise<number> => {
    const startedMs = performance.now();
    for (;;) {
      const [answer] = await lab.probe('ext', { to: added, port: nodePort, timeoutMs: 300 });
      const tookMs = performance.now() - startedMs;
      if (answer?.outcome === outcome) return tookMs;
      if (tookMs > mostMs) throw new Error(`${answer?.outcome} after ${tookMs} ms`);
      await sleep(50);
    }
  };
  const hasServer = async (): Promise<boolean> =>
    (await lab.run('node', 'ipvsadm', ['-Sn'])).stdout.includes(`${added}:${nodePort}`);

  test('NodePorts answer on a new address soon, and its server goes with it', async () => {
    for (const round of [1, 2]) {
      await lab.run('node', 'ip', ['address', 'add', `${added}/24`, 'dev', 'eth0']);
      const tookMs = await until('ok', 1000 * slow);
      console.log(`round ${round}: NodePorts answered on a new address after ${Math.round(tookMs)} ms`);
      await lab.run('node', 'ip', ['address', 'delete', `${added}/24`, 'dev', 'eth0']);
      const deadlineMs = Date.now() + 1000 * slow;
      while ((await hasServer()) && Date.now() < deadlineMs) await sleep(100);
      expect(await hasServer()).toBe(false);
    }
  }, 120_000);
});
