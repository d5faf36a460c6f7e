import { setTimeout as sleep } from 'node:timers/promises';
import { service, slice } from '../conformance/objects';
import { ProxiedCluster } from '../conformance/proxied-cluster';
import type { ClusterObject } from '../conformance/scenario';
import { hostWays } from '../support/host-ways';
import { vipwire } from '../support/lab/proxied-node';
import { addresses, crowd, type Pod } from '../support/lab/topology';
import { describeAsRoot } from '../support/network-namespace';

const clients = Array.from({ length: 40 }, (_, n) => crowd.address(n + 1));

function sticky(name: string, clusterIP: string, nodePort: number, timeoutSeconds: number): ClusterObject {
  return service({
    name,
    type: 'NodePort',
    clusterIPs: [clusterIP],
    ports: [{ port: 80, targetPort: 8080, nodePort }],
    spec: { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds } } },
  });
}

const shortVip = '10.96.0.10';
const longVip = '10.96.0.11';
const timeoutSeconds = 3;
const services = [sticky('short', shortVip, 30080, timeoutSeconds), sticky('long', longVip, 30081, 3600)];
/** Pods of this node. The clients are on the other node, so that the answers to them come back through this one. */
const on = (pods: readonly Pod[]): ClusterObject[] => ['short', 'long'].map((name) => slice(pods, { service: name }));

describeAsRoot('sessionAffinity ClientIP', () => {
  describe.each(hostWays)('%s', (_, way) => {
    const cluster = new ProxiedCluster({ ...way, command: vipwire });
    beforeAll(() => cluster.start([...services, ...on(['a', 'b', 'c'])]), 60_000);
    afterAll(() => cluster.stop());

    /** The pod that each client reaches. */
    const ask = async (to: string, port: number, from: readonly string[] = clients): Promise<Map<string, string>> => {
      const asked = from.map(async (sourceAddress) => {
        const [answer] = await cluster.lab.probe('e', { to, port, sourceAddress });
        return [sourceAddress, answer?.outcome === 'ok' ? answer.pod : String(answer?.outcome)] as const;
      });
      return new Map(await Promise.all(asked));
    };

    test('a client stays with its pod by every way in, and clients are spread over the pods', async () => {
      const first = await ask(longVip, 80);
      expect([...new Set(first.values())].sort()).toEqual(['a', 'b', 'c']);
      expect(await ask(longVip, 80)).toEqual(first);
      expect(await ask(addresses.node.IPv4, 30081)).toEqual(first);
    });

    test('active clients stay beyond the timeout, and idle ones get a new choice', async () => {
      const first = await ask(shortVip, 80);
      const [active, idle] = [clients.slice(0, 20), clients.slice(20)];
      for (let ms = 0; ms < (timeoutSeconds + 2) * 1000; ms += 1000) {
        await sleep(1000);
        await ask(shortVip, 80, active);
      }
      expect(await ask(shortVip, 80, active)).toEqual(new Map(active.map((client) => [client, first.get(client)])));
      // The probability that all twenty get the same pod again by chance is 3 ** -20.
      expect(await ask(shortVip, 80, idle)).not.toEqual(new Map(idle.map((client) => [client, first.get(client)])));
    }, 30_000);

    test('a change of endpoints and a restart move only the clients of a pod that is removed', async () => {
      const first = await ask(longVip, 80);
      await cluster.apply([...services, ...on(['a', 'b'])]);
      const second = await ask(longVip, 80);
      for (const [client, pod] of first) {
        if (pod === 'c') expect(['a', 'b']).toContain(second.get(client));
        else expect(second.get(client)).toBe(pod);
      }
      await cluster.restart();
      expect(await ask(longVip, 80)).toEqual(second);
    }, 60_000);
  });
});
