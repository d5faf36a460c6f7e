/** The mode of a running process is changed and changed back while VIPs are in use. */
import { slice } from '../../conformance/objects';
import { BusyCluster, busyObjects, logLines, throughNodePort, throughVIP, toItself } from '../../support/busy-cluster';
import { describeWithIpvs, guestRate } from '../../support/ipvs-kernel';
import { IpvsNode } from '../../support/ipvs-node';
import { Lab } from '../../support/lab/lab';
import { until } from '../../support/until';

const clients = [throughVIP, toItself, throughNodePort].map((client) => ({ ...client, perSecond: guestRate }));
const drainLimitMs = 15_000;

describeWithIpvs('a configuration file that changes the mode', () => {
  const lab = new Lab();
  const node = new IpvsNode(lab);
  const flags = [`--ipvs-drain-limit=${drainLimitMs}ms`];
  const cluster = new BusyCluster({ mode: 'ipvs', clients, slow: 2, lab, flags });
  beforeAll(async () => {
    await lab.start();
    await cluster.setUp(busyObjects);
    await cluster.startProxy();
  }, 240_000);
  afterAll(async () => {
    await cluster.stop();
    await lab.stop();
  }, 240_000);

  const changeMode = async (mode: string): Promise<void> => {
    expect(await cluster.reconfigure({ mode })).toContain('the changed configuration is in force');
  };
  const ofIptables = async (): Promise<string[]> => {
    const { rules } = await node.state();
    return rules.filter((line) => /KUBE-(SVC|EXT)-/.test(line));
  };
  const podsOf = async (to: string): Promise<Set<string>> => {
    const answers = await lab.probe('a', { to, port: 80, count: 20 });
    return new Set(answers.map((answer) => (answer.outcome === 'ok' ? answer.pod : answer.outcome)));
  };

  test('to iptables mode: no connection fails, and open ones go on through their virtual servers', async () => {
    const draining = (): string[] => logLines(cluster.proxy.log(), 'connections that began in IPVS mode');
    const wrong = await cluster.whileBusy(async () => {
      await changeMode('iptables');
      await until(() => draining().length > 0, { what: 'the line about draining', limitMs: 60_000, everyMs: 100 });
    });
    expect(wrong).toEqual([]);
    expect(await ofIptables()).not.toEqual([]);
    expect(draining()).toHaveLength(1);
    const { servers } = await node.state();
    // The servers that are left take no new connections.
    for (const line of servers.filter((each) => each.startsWith('-a '))) expect(line).toMatch(/-w 0$/);
    expect(servers.some((line) => line.includes('10.96.0.10:80'))).toBe(true);
    await cluster.apply([slice(['b', 'd'])]);
    expect(await podsOf(throughVIP.to)).toEqual(new Set(['b', 'd']));
  }, 240_000);

  test('and back while they drain: no connection fails', async () => {
    expect(await cluster.whileBusy(() => changeMode('ipvs'))).toEqual([]);
    expect(await ofIptables()).toEqual([]);
    await cluster.apply([slice(['a', 'b'])]);
    expect(await podsOf(throughVIP.to)).toEqual(new Set(['a', 'b']));
    expect(await node.weights('10.96.0.10:80')).toMatchObject({ '10.244.1.2:8080': 1, '10.244.1.3:8080': 1 });
  }, 240_000);

  test('after the limit nothing of IPVS mode is left', async () => {
    await changeMode('iptables');
    const left = async (): Promise<number> => {
      const { servers, addresses, sets } = await node.state();
      return servers.length + addresses.length + sets.length;
    };
    const limitMs = 2 * drainLimitMs + 60_000;
    await until(async () => (await left()) === 0, { what: 'nothing of IPVS mode', limitMs, everyMs: 1000 });
    expect(await podsOf(throughVIP.to)).toEqual(new Set(['a', 'b']));
  }, 240_000);
});
