/** A tool that never ends delays only its own question. The others go on, and once the tool works again everything is as it should be. */
import { setTimeout as sleep } from 'node:timers/promises';
import { service, slice } from '../conformance/objects';
import type { ClusterObject } from '../conformance/scenario';
import { BusyCluster, busyObjects, logLines, throughVIP } from '../support/busy-cluster';
import { FaultyTools } from '../support/faulty-tools';
import { describeAsRoot } from '../support/network-namespace';
import { until } from '../support/until';

const tools = ['iptables-nft', 'iptables-nft-save', 'iptables-nft-restore', 'ip6tables-nft-restore', 'conntrack', 'ip'];
const vip = { IPv4: '10.96.0.10', IPv6: 'fd96::10' } as const;
const six = service({ name: 'six', clusterIPs: [vip.IPv6] });
const both = (pod: 'a' | 'd' | 'b'): ClusterObject[] => [
  slice([pod]),
  slice([pod], { service: 'six', family: 'IPv6' }),
];

class HangingCluster extends BusyCluster {
  readonly tools: FaultyTools;

  constructor() {
    super({ variant: 'nft', clients: [{ ...throughVIP, perSecond: 50 }], env: () => this.tools.env });
    this.tools = new FaultyTools(this.lab.directory, tools);
  }

  /** Milliseconds until each of them answers only with this pod. */
  reachedMs(pod: string, addresses: readonly string[], patienceMs: number): Promise<number> {
    const isReached = async (to: string): Promise<boolean> => {
      const answers = await this.lab.probe('a', { to, port: 80, count: 5 });
      return answers.every((answer) => answer.outcome === 'ok' && answer.pod === pod);
    };
    const details = (): string => this.proxy.log().slice(-3000);
    const areReached = async (): Promise<boolean> => (await Promise.all(addresses.map(isReached))).every(Boolean);
    return until(areReached, { what: `answers of ${pod}`, limitMs: patienceMs, everyMs: 50, details });
  }

  async healthz(): Promise<number> {
    return (await this.lab.http('node', 'http://127.0.0.1:10256/livez')).status;
  }
}

describeAsRoot('a tool that never ends', () => {
  test.concurrent.each(tools)(
    '%s: nothing is lost, and it is used again',
    async (tool) => {
      const cluster = new HangingCluster();
      // The families write one after the other. A write that hangs delays the next one, for at most 20 s.
      const free = tool.endsWith('-restore') ? [] : Object.values(vip);
      try {
        await cluster.setUp([...busyObjects, six, slice(['a'], { service: 'six', family: 'IPv6' })]);
        await cluster.startProxy();
        const wrong = await cluster.whileBusy(async () => {
          cluster.tools.break(tool, 'hangs');
          // The first write uses the tool that already waits for it.
          for (const pod of ['d', 'b'] as const) {
            cluster.put(both(pod));
            expect(await cluster.reachedMs(pod, free, 10_000)).toBeLessThan(5000);
            await sleep(600);
          }
          expect(await cluster.healthz()).toBe(200);
          // Somebody else's write leads to a read.
          await cluster.lab.run('node', 'iptables-nft', ['-w', '-t', 'nat', '-A', 'KUBE-MARK-MASQ', '-j', 'RETURN']);
          await sleep(6000);
          cluster.tools.mend(tool);
          await cluster.reachedMs('b', Object.values(vip), 60_000);
          cluster.put(both('a'));
          await cluster.reachedMs('a', Object.values(vip), 60_000);
        });
        expect(wrong).toEqual([]);
        const repaired = async (): Promise<boolean> =>
          !(await cluster.rules()).some((line) => line.includes('KUBE-MARK-MASQ -j RETURN'));
        await until(repaired, { what: 'the repair', limitMs: 60_000, everyMs: 200 });
        expect(logLines(cluster.proxy.log(), 'vipwire ends')).toEqual([]);
      } finally {
        await cluster.stop();
      }
    },
    240_000,
  );
});
