/** The configuration of a process that runs is changed while VIPs are in use. */
import { existsSync } from 'node:fs';
import { slice } from '../conformance/objects';
import { BusyCluster, logLines, throughNodePort, throughVIP, toItself } from '../support/busy-cluster';
import { describeAsRoot } from '../support/network-namespace';

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
