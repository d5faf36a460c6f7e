/** What a daemon reports on a node whose Services work. */
import { asInContainer } from '../support/as-in-container';
import { BusyCluster } from '../support/busy-cluster';
import { vipwire } from '../support/lab/proxied-node';
import { describeAsRoot } from '../support/network-namespace';

describeAsRoot('a daemon with the rights of its Pod', () => {
  const cluster = new BusyCluster({ variant: 'nft', within: asInContainer, config: { oomScoreAdj: 0 } });
  const ask = async (url: string): Promise<string> => (await cluster.lab.http('node', url)).body;
  const metric = async (series: string): Promise<number> => {
    const text = await ask('http://127.0.0.1:10249/metrics');
    return Number(
      text
        .split('\n')
        .find((line) => line.startsWith(`${series} `))
        ?.slice(series.length + 1),
    );
  };
  beforeAll(async () => {
    await cluster.setUp();
    await cluster.lab.run('node', 'sysctl', ['-qw', 'net.ipv4.conf.all.route_localnet=1']);
    await cluster.startProxy();
  }, 30_000);
  afterAll(() => cluster.stop());

  test('is ready, and vipwire status says that everything is well', async () => {
    expect(await ask('http://127.0.0.1:10256/readyz')).toBe('{"ready":true,"reasons":[]}');
    const [node = '', script = ''] = vipwire;
    // It would reject if the exit code were not 0.
    const { stdout } = await cluster.lab.run('node', node, [script, 'status']);
    expect(stdout).toMatch(
      /^vipwire \S+ on node, mode iptables, up \d+ s\nthe rules for the present cluster are in force\n/,
    );
    expect(stdout).toMatch(/^ {2}IPv4 +in force +2 +\d+ +nat \d+, filter \d+ +\d+ s ago/m);
    expect(stdout).toMatch(/^ {2}endpointslices +watching +\d+ s +0 +1$/m);
  });

  test('counts connections to NodePorts on 127.0.0.1, and no others', async () => {
    const accepted = 'kubeproxy_iptables_localhost_nodeports_accepted_packets_total';
    const before = await metric(accepted);
    const outcomes: string[] = [];
    for (const [to, port] of [
      ...Array.from({ length: 3 }, () => ['127.0.0.1', 30080] as const),
      ['10.96.0.10', 80],
      ['192.168.88.10', 30080],
    ] as const)
      for (const { outcome } of await cluster.lab.probe('node', { to, port, timeoutMs: 3000 })) outcomes.push(outcome);
    expect(outcomes).toEqual(['ok', 'ok', 'ok', 'ok', 'ok']);
    expect((await metric(accepted)) - before).toBe(3);
    expect(await metric('kubeproxy_iptables_ct_state_invalid_dropped_packets_total')).toBe(0);
  });
});
