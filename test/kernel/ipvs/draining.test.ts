/** Real servers that leave: TCP connections end before they do, or when the limit comes; flows over UDP move at once. */
import { setTimeout as sleep } from 'node:timers/promises';
import { service, slice } from '../../conformance/objects';
import { BusyCluster } from '../../support/busy-cluster';
import { describeWithIpvs } from '../../support/ipvs-kernel';
import { IpvsNode } from '../../support/ipvs-node';
import { Lab } from '../../support/lab/lab';

const stream = service({ name: 'stream', clusterIPs: ['10.96.0.20'] });
const dns = service({
  name: 'dns',
  clusterIPs: ['10.96.0.22'],
  ports: [{ port: 53, targetPort: 53, protocol: 'UDP' }],
});
const udpPort = [{ port: 53, protocol: 'UDP' }] as const;

describeWithIpvs('IPVS mode, when real servers leave', () => {
  const lab = new Lab();
  const node = new IpvsNode(lab);
  beforeAll(() => lab.start(), 60_000);
  afterAll(() => lab.stop());

  /** Weights by `address:port` of a virtual server's destinations. */
  const weights = async (vip: string): Promise<Record<string, number>> => {
    const lines = (await node.state()).servers.filter((line) => line.startsWith(`-a -t ${vip} `));
    return Object.fromEntries(
      lines.map((line) => {
        const [, address = '', weight] = /-r (\S+) .*-w (\d+)/.exec(line) ?? [];
        return [address, Number(weight)];
      }),
    );
  };
  const until = async (vip: string, wanted: Record<string, number>, seconds: number): Promise<void> => {
    const deadlineMs = Date.now() + seconds * 1000;
    while (Date.now() < deadlineMs && JSON.stringify(await weights(vip)) !== JSON.stringify(wanted)) await sleep(200);
    expect(await weights(vip)).toEqual(wanted);
  };

  describe('without a limit that matters', () => {
    const cluster = new BusyCluster({ mode: 'ipvs', slow: 2, lab });
    beforeAll(async () => {
      await cluster.setUp([
        ...[stream, slice(['a'], { service: 'stream' })],
        ...[dns, slice(['a'], { service: 'dns', ports: udpPort })],
      ]);
      await cluster.startProxy();
    }, 60_000);
    afterAll(() => cluster.stop());

    test('a long connection goes on until it ends, new ones go elsewhere, then the real server is gone', async () => {
      const held = await lab.hold('c', { to: '10.96.0.20', port: 80, timeoutMs: 2000 });
      expect(held.answer).toMatchObject({ outcome: 'ok', pod: 'a' });
      await cluster.apply([slice(['d'], { service: 'stream' })]);
      expect(await weights('10.96.0.20:80')).toEqual({ '10.244.1.2:8080': 0, '10.244.2.2:8080': 1 });
      const answers = await lab.probe('c', { to: '10.96.0.20', port: 80, count: 10 });
      expect(new Set(answers.map((answer) => (answer.outcome === 'ok' ? answer.pod : answer.outcome)))).toEqual(
        new Set(['d']),
      );
      expect(await held.ask()).toMatchObject({ outcome: 'ok', pod: 'a' });
      // The kernel forgets a connection that was reset after 10 s.
      await held.reset();
      await until('10.96.0.20:80', { '10.244.2.2:8080': 1 }, 30);
    }, 60_000);

    test('one that comes back while it drains serves again', async () => {
      const held = await lab.hold('c', { to: '10.96.0.20', port: 80, timeoutMs: 2000 });
      await cluster.apply([slice(['a'], { service: 'stream' })]);
      expect(await weights('10.96.0.20:80')).toEqual({ '10.244.1.2:8080': 1, '10.244.2.2:8080': 0 });
      await cluster.apply([slice(['a', 'd'], { service: 'stream' })]);
      expect(await weights('10.96.0.20:80')).toEqual({ '10.244.1.2:8080': 1, '10.244.2.2:8080': 1 });
      expect(await held.ask()).toMatchObject({ outcome: 'ok', pod: 'd' });
      await held.reset();
    }, 30_000);

    test('a client over UDP moves at once', async () => {
      const ask = { to: '10.96.0.22', port: 53, protocol: 'udp', sourcePort: 40007 } as const;
      expect(await lab.probe('c', ask)).toMatchObject([{ outcome: 'ok', pod: 'a' }]);
      await cluster.apply([slice(['d'], { service: 'dns', ports: udpPort })]);
      expect(await lab.probe('c', ask)).toMatchObject([{ outcome: 'ok', pod: 'd' }]);
    }, 30_000);
  });
});
