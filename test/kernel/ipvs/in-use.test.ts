/** VIPs are in use while a process in IPVS mode restarts, dies, follows its cluster, and takes over from kube-proxy. */
import { setTimeout as sleep } from 'node:timers/promises';
import { service, slice } from '../../conformance/objects';
import {
  BusyCluster,
  busyObjects,
  idleObjects,
  idleService,
  throughNodePort,
  throughVIP,
  toItself,
} from '../../support/busy-cluster';
import { describeWithIpvs, guestRate } from '../../support/ipvs-kernel';
import { IpvsNode } from '../../support/ipvs-node';
import { Lab } from '../../support/lab/lab';
import { until } from '../../support/until';

const changes = 20;
const stream = { name: 'stream', vip: '10.96.0.20' };
const dns = { name: 'dns', vip: '10.96.0.22', port: { port: 53, protocol: 'UDP' } } as const;
const clients = [throughVIP, toItself, throughNodePort].map((client) => ({ ...client, perSecond: guestRate }));

describeWithIpvs('IPVS mode, while VIPs are in use', () => {
  const lab = new Lab();
  const node = new IpvsNode(lab);
  beforeAll(() => lab.start(), 240_000);
  afterAll(() => lab.stop());

  describe('one process after the other', () => {
    const cluster = new BusyCluster({ mode: 'ipvs', clients, slow: 2, lab });
    beforeAll(async () => {
      await cluster.setUp([
        ...[...busyObjects, ...idleObjects(changes, 3)],
        ...[service({ name: stream.name, clusterIPs: [stream.vip] }), slice(['a'], { service: stream.name })],
        ...[
          service({ name: dns.name, clusterIPs: [dns.vip], ports: [dns.port] }),
          slice(['a'], { service: dns.name, ports: [dns.port] }),
        ],
      ]);
      await cluster.startProxy();
    }, 240_000);
    afterAll(() => cluster.stop());

    const podsOf = async (vip: string): Promise<Set<string>> => {
      const answers = await lab.probe('a', { to: vip, port: 80, count: 20 });
      return new Set(answers.map((answer) => (answer.outcome === 'ok' ? answer.pod : answer.outcome)));
    };

    test('stopped and started again: no connection fails, and nothing is written', async () => {
      const before = await node.state();
      const wrong = await cluster.whileBusy(async () => {
        await cluster.proxy.stop();
        expect(await node.state()).toEqual(before);
        await cluster.startProxy();
      });
      expect(wrong).toEqual([]);
      expect(await node.state()).toEqual(before);
    }, 240_000);

    test('its endpoints, and those of others, change: no connection fails', async () => {
      const wrong = await cluster.whileBusy(async () => {
        for (let n = 0; n < changes; n++) {
          cluster.put([slice(n % 2 === 0 ? ['a', 'b'] : ['b', 'd', 'a']), ...idleService(n, 3, n + 1)]);
          await sleep(150);
        }
        await cluster.apply([slice(['b', 'd'])]);
      });
      expect(wrong).toEqual([]);
      expect(await podsOf(throughVIP.to)).toEqual(new Set(['b', 'd']));
    }, 240_000);

    test('its last endpoint is removed and comes back: connections are refused or answered, and none is lost', async () => {
      const wrong = await cluster.whileBusy(async () => {
        for (let n = 0; n < 10; n++) {
          cluster.put([slice(n % 2 === 0 ? [] : ['c'], { service: 'self' })]);
          await sleep(300);
        }
      });
      expect(wrong.filter((line) => !/ refused| the long connection/.test(line))).toEqual([]);
    }, 240_000);

    test('a long connection to an endpoint that is removed goes on, and new ones go elsewhere; then its server goes', async () => {
      const server = `${stream.vip}:80`;
      const held = await lab.hold('c', { to: stream.vip, port: 80, timeoutMs: 2000 });
      expect(held.answer).toMatchObject({ outcome: 'ok', pod: 'a' });
      await cluster.apply([slice(['d'], { service: stream.name })]);
      expect(await node.weights(server)).toEqual({ '10.244.1.2:8080': 0, '10.244.2.2:8080': 1 });
      expect(await podsOf(stream.vip)).toEqual(new Set(['d']));
      expect(await held.ask()).toMatchObject({ outcome: 'ok', pod: 'a' });
      // The kernel forgets a connection 10 s after its reset.
      await held.reset();
      const isGone = async (): Promise<boolean> => !('10.244.1.2:8080' in (await node.weights(server)));
      await until(isGone, { what: 'the end of 10.244.1.2:8080', limitMs: 120_000, everyMs: 200 });
      expect(await node.weights(server)).toEqual({ '10.244.2.2:8080': 1 });
    }, 240_000);

    test('an endpoint that comes back while it drains serves again', async () => {
      const held = await lab.hold('c', { to: stream.vip, port: 80, timeoutMs: 2000 });
      await cluster.apply([slice(['a'], { service: stream.name })]);
      expect(await node.weights(`${stream.vip}:80`)).toEqual({ '10.244.1.2:8080': 1, '10.244.2.2:8080': 0 });
      await cluster.apply([slice(['a', 'd'], { service: stream.name })]);
      expect(await podsOf(stream.vip)).toEqual(new Set(['a', 'd']));
      expect(await held.ask()).toMatchObject({ outcome: 'ok', pod: 'd' });
    }, 240_000);

    test('a client over UDP moves at once', async () => {
      const ask = { to: dns.vip, port: dns.port.port, protocol: 'udp', sourcePort: 40007 } as const;
      expect(await lab.probe('c', ask)).toMatchObject([{ outcome: 'ok', pod: 'a' }]);
      await cluster.apply([slice(['d'], { service: dns.name, ports: [dns.port] })]);
      expect(await lab.probe('c', ask)).toMatchObject([{ outcome: 'ok', pod: 'd' }]);
    }, 240_000);

    test('killed again and again while it writes: no connection fails, and the node is right in the end', async () => {
      const many = 300;
      const wrong = await cluster.whileBusy(async () => {
        await cluster.proxy.stop();
        cluster.put(idleObjects(many, 5));
        for (const ms of [1200, 1500, 1800, 2100]) {
          cluster.proxy.start();
          await sleep(ms);
          await cluster.proxy.stop('SIGKILL');
        }
        await cluster.startProxy();
      });
      expect(wrong).toEqual([]);
      const { servers, ...others } = await node.state();
      expect(others.addresses.length).toBe(many + 4);
      await cluster.proxy.stop();
      await node.forget();
      await cluster.startProxy();
      // A real server that drains has weight 0.
      const fresh = await node.state();
      expect(servers.filter((line) => !line.endsWith(' -w 0'))).toEqual(fresh.servers);
      expect({ ...others, servers: [] }).toEqual({ ...fresh, servers: [] });
    }, 400_000);
  });

  describe('after kube-proxy', () => {
    // The recording has no second Service.
    const cluster = new BusyCluster({
      mode: 'ipvs',
      clients: clients.filter(({ to }) => to !== toItself.to),
      slow: 2,
      lab,
    });
    beforeAll(() => cluster.setUp(busyObjects.slice(0, 2)), 240_000);
    afterAll(() => cluster.stop());

    test('no connection fails, and the node is like one that kube-proxy never worked on', async () => {
      await node.loadRecording('nodeport.1');
      const wrong = await cluster.whileBusy(() => cluster.startProxy());
      expect(wrong).toEqual([]);
      const taken = await node.state();
      await cluster.proxy.stop();
      await node.forget();
      await cluster.startProxy();
      expect(taken).toEqual(await node.state());
    }, 240_000);
  });
});
