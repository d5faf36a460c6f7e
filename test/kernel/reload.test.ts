/** The configuration of a process that runs is changed while VIPs are in use. */
import { existsSync } from 'node:fs';
import { slice } from '../conformance/objects';
import { BusyCluster, logLines, throughNodePort, throughVIP, toItself } from '../support/busy-cluster';
import { describeAsRoot } from '../support/network-namespace';
import { NodeTables } from '../support/node-tables';
import { until } from '../support/until';

/** Two modes are in force at once for a while. */
const slowClients = [throughVIP, toItself, throughNodePort].map((client) => ({ ...client, perSecond: 50 }));
const hasIpvs = existsSync('/proc/net/ip_vs');
const applied = /the changed configuration is in force/;
const refused = /the changed configuration is refused; the one in force stays/;

describeAsRoot('a changed configuration file', () => {
  const cluster = new BusyCluster({});
  beforeAll(async () => {
    await cluster.setUp();
    await cluster.startProxy();
  }, 30_000);
  afterAll(() => cluster.stop());

  const podsOf = async (port: number, to: string): Promise<Set<string>> => {
    const answers = await cluster.lab.probe('ext', { to, port, count: 10, timeoutMs: 1000 });
    return new Set(answers.map((answer) => (answer.outcome === 'ok' ? 'ok' : answer.outcome)));
  };

  test('where NodePorts answer: others notice nothing', async () => {
    const { to, port } = throughNodePort;
    const wrong = await cluster.whileBusy(async () => {
      expect(await cluster.reconfigure({ nodePortAddresses: ['127.0.0.0/8'] })).toMatch(applied);
      await cluster.proxy.caughtUp(0);
      expect(await podsOf(port, to)).not.toContain('ok');
      expect(await cluster.reconfigure({})).toMatch(applied);
      await cluster.proxy.caughtUp(0);
      expect(await podsOf(port, to)).toEqual(new Set(['ok']));
    }, [throughVIP, toItself]);
    expect(wrong).toEqual([]);
  }, 60_000);

  test('another mark: the rules are what a fresh process would write, and no connection fails', async () => {
    const wrong = await cluster.whileBusy(async () => {
      expect(await cluster.reconfigure({ iptables: { masqueradeBit: 15 } })).toMatch(applied);
      await cluster.apply([slice(['a', 'b'])]);
    });
    expect(wrong).toEqual([]);
    const rules = await cluster.rules();
    expect(rules.join('\n')).toContain('0x8000/0x8000');
    expect(rules.join('\n')).not.toContain('0x4000');
    await cluster.proxy.stop();
    await cluster.startProxy();
    expect(await cluster.rules()).toEqual(rules);
    expect(await cluster.reconfigure({})).toMatch(applied);
  }, 60_000);

  test('a wrong one is refused, with all that is wrong, and nothing changes', async () => {
    const before = await cluster.rules();
    const line = await cluster.reconfigure({ mode: 'userspace', iptables: { masqueradeBit: 40 } });
    expect(line).toMatch(refused);
    expect(line).toContain('mode: kube-proxy removed userspace in 1.26');
    expect(line).toContain('iptables.masqueradeBit: 40 is not between 0 and 31');
    await cluster.apply([slice(['a', 'b', 'd'])]);
    await cluster.apply([slice(['a', 'b'])]);
    expect(await cluster.rules()).toEqual(before);
  }, 60_000);

  test('to nftables mode and back: no connection fails, and nothing of the other mode stays', async () => {
    const tables = new NodeTables(cluster.lab);
    const ofIptables = async (): Promise<string[]> =>
      (await cluster.rules()).filter((line) => /KUBE-(?!FIREWALL)/.test(line));
    const wrong = await cluster.whileBusy(async () => {
      expect(await cluster.reconfigure({ mode: 'nftables' })).toMatch(applied);
      // Another list than the test before left: the wait is for a sync.
      await cluster.apply([slice(['a', 'd'])]);
      await until(async () => (await ofIptables()).length === 0, { what: 'no chain of iptables mode', everyMs: 100 });
      expect(await tables.hooks()).toHaveLength(16);
      expect(await cluster.reconfigure({})).toMatch(applied);
      await cluster.apply([slice(['a', 'b', 'd'])]);
      await until(async () => (await tables.list()).length === 0, { what: 'no table of nftables mode', everyMs: 100 });
      expect(await ofIptables()).not.toEqual([]);
    }, slowClients);
    expect(wrong).toEqual([]);
  }, 60_000);

  (hasIpvs ? test.skip : test)(
    'a mode that this kernel lacks is refused, and the present one goes on',
    async () => {
      const wrong = await cluster.whileBusy(async () => {
        expect(await cluster.reconfigure({ mode: 'ipvs' })).toMatch(refused);
        await cluster.apply([slice(['b', 'd'])]);
      });
      expect(wrong).toEqual([]);
      const answers = await cluster.lab.probe('a', { to: '10.96.0.10', port: 80, count: 20 });
      expect(new Set(answers.map((answer) => (answer.outcome === 'ok' ? answer.pod : answer.outcome)))).toEqual(
        new Set(['b', 'd']),
      );
    },
    60_000,
  );

  test('servers listen elsewhere; what takes a restart is named', async () => {
    const line = await cluster.reconfigure({ healthzBindAddress: '0.0.0.0:10300', logging: { verbosity: 4 } });
    expect(line).toMatch(applied);
    expect((await cluster.lab.http('node', 'http://127.0.0.1:10300/healthz')).status).toBe(200);
    await cluster.reconfigure({ clientConnection: { kubeconfig: '/elsewhere' }, oomScoreAdj: -998 });
    expect(logLines(cluster.proxy.log(), 'take a restart').at(-1)).toContain('clientConnection.kubeconfig');
    await cluster.apply([slice(['a', 'd'])]);
    expect(cluster.proxy.ended).toBeUndefined();
  }, 60_000);
});
