/** What a process in IPVS mode keeps in order between two changes of its cluster, and what is none of its business. */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { service, slice } from '../../conformance/objects';
import { BusyCluster, busyObjects } from '../../support/busy-cluster';
import { describeWithIpvs } from '../../support/ipvs-kernel';
import { IpvsNode, type IpvsState } from '../../support/ipvs-node';
import { Lab } from '../../support/lab/lab';
import { ProxiedNode, vipwire } from '../../support/lab/proxied-node';
import { until } from '../../support/until';

jest.setTimeout(240_000);

const checkSeconds = 2;

/** An administrator's and another controller's: servers on the node's address, on one that is nowhere, and by mark; a set; rules. */
const foreign = `
ipvsadm -A -t 192.168.88.10:9000 -s wlc
ipvsadm -a -t 192.168.88.10:9000 -r 10.244.1.2:8080 -m -w 5
ipvsadm -A -u 198.18.0.1:53 -s rr
ipvsadm -A -f 7 -s rr
ipset create others hash:ip
ipset add others 192.0.2.1
iptables -A INPUT -s 192.0.2.0/24 -j DROP
iptables -t mangle -A PREROUTING -d 198.18.0.1 -j MARK --set-mark 7`;

const vip = '10.96.0.10';
const edits: readonly (readonly [what: string, script: string])[] = [
  [
    'real servers deleted, drained and added, another scheduler, and a virtual server deleted',
    `ipvsadm -d -t ${vip}:80 -r 10.244.1.2:8080; ipvsadm -e -t ${vip}:80 -r 10.244.1.3:8080 -m -w 0
ipvsadm -a -t ${vip}:80 -r 192.0.2.9:80 -m; ipvsadm -E -t ${vip}:80 -s sh; ipvsadm -D -t 10.96.0.11:80`,
  ],
  ['everything deleted with ipvsadm -C', 'ipvsadm -C'],
  [
    'entries of sets deleted and added, an address deleted, another and a server that are nobody’s',
    `ipset del KUBE-CLUSTER-IP ${vip},tcp:80; ipset add KUBE-IPVS-IPS 192.0.2.1
ip address delete ${vip}/32 dev kube-ipvs0
ip address add 10.96.0.99/32 dev kube-ipvs0; ipvsadm -A -t 10.96.0.99:80 -s rr`,
  ],
  ['the device deleted', 'ip link delete kube-ipvs0'],
  ['iptables -F, twice', 'iptables -t nat -F; iptables -F'],
];

describeWithIpvs('IPVS mode, between two changes', () => {
  const lab = new Lab();
  const node = new IpvsNode(lab);
  const cluster = new BusyCluster({
    mode: 'ipvs',
    slow: 2,
    lab,
    config: { ipvs: { syncPeriod: `${checkSeconds}s` } },
    flags: ['--ipvs-drain-limit=3s'],
  });
  const web = [
    service({ type: 'NodePort', ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }] }),
    slice(['a', 'b', 'd']),
  ];

  beforeAll(async () => {
    await lab.start();
    await cluster.setUp([...busyObjects, ...web]);
    await cluster.startProxy();
  });
  afterAll(async () => {
    await cluster.stop();
    await lab.stop();
  });

  /** Waits until the node holds that, and tells what differs where it does not come to it. */
  const untilState = async (wanted: IpvsState): Promise<void> => {
    let state: IpvsState | undefined;
    const isSo = async (): Promise<boolean> => {
      state = await node.state();
      return JSON.stringify(state) === JSON.stringify(wanted);
    };
    await until(isSo, { limitMs: 5000 * checkSeconds, everyMs: 100 }).catch((error: unknown) => {
      expect(state).toEqual(wanted);
      throw error;
    });
  };

  test.each(edits)(
    '%s: put right at the next check',
    async (_, script) => {
      const before = await node.state();
      await cluster.whilePaused(async () => {
        await node.shell(script);
        expect(await node.state()).not.toEqual(before);
      });
      await untilState(before);
    },
    240_000,
  );

  test('a connection to an endpoint that went is cut when the limit comes', async () => {
    const held = await lab.hold('a', { to: '10.96.0.11', port: 80, timeoutMs: 2000 });
    await cluster.apply([slice(['a'], { service: 'self' })]);
    expect(await held.ask()).toMatchObject({ outcome: 'ok', pod: 'c' });
    const isGone = async (): Promise<boolean> => !('10.244.1.4:8080' in (await node.weights('10.96.0.11:80')));
    await until(isGone, { what: 'the end of 10.244.1.4:8080', limitMs: 120_000, everyMs: 200 });
    expect(await node.weights('10.96.0.11:80')).toEqual({ '10.244.1.2:8080': 1 });
    expect((await held.ask()).outcome).not.toBe('ok');
  });

  test('a dry run compares with servers, sets and addresses too: it prints what is missing, and nothing else', async () => {
    await cluster.proxy.stop();
    const before = await node.state();
    await node.shell(`ipvsadm -d -t ${vip}:80 -r 10.244.1.2:8080; ipset del KUBE-CLUSTER-IP ${vip},tcp:80`);
    const [file = '', ...args] = vipwire;
    const flags = [`--config=${join(lab.directory, 'config.json')}`, '--hostname-override=node', '--dry-run'];
    const out = await node.shell(`
${[file, ...args, ...flags].join(' ')} >${lab.directory}/dry.out 2>${lab.directory}/dry.err & dry=$!
for i in $(seq 100); do grep -q 'family="IPv6"' ${lab.directory}/dry.err && break; sleep 0.2; done
kill $dry; wait $dry; cat ${lab.directory}/dry.out`);
    expect(out.split('\n').filter((line) => line !== '' && !line.startsWith('#'))).toEqual([
      `add KUBE-CLUSTER-IP ${vip},tcp:80`,
      `-a -t ${vip}:80 -r 10.244.1.2:8080 -m -w 1`,
    ]);
    await cluster.startProxy();
    expect(await node.state()).toEqual(before);
  });

  test('where the netlink addon cannot load, ipvsadm, ip and ipset write the same', async () => {
    const before = await node.state();
    await cluster.proxy.stop();
    await node.forget();
    const bundle = join(lab.directory, 'without-addon.cjs');
    copyFileSync(join('dist', 'vipwire.cjs'), bundle);
    const command = cluster.command.map((word) => (word === join('dist', 'vipwire.cjs') ? bundle : word));
    const proxy = new ProxiedNode(lab, { command, slow: 2 });
    const sinceMs = Date.now();
    proxy.start();
    try {
      await proxy.caughtUp(sinceMs);
      expect(await node.state()).toEqual(before);
      cluster.put([slice(['a', 'd'])]);
      const changed = { '10.244.1.2:8080': 1, '10.244.2.2:8080': 1 };
      const isGone = async (): Promise<boolean> => !('10.244.1.3:8080' in (await node.weights(`${vip}:80`)));
      await until(isGone, { what: 'the end of 10.244.1.3:8080', limitMs: 30_000, everyMs: 200 });
      expect(await node.weights(`${vip}:80`)).toEqual(changed);
    } finally {
      await proxy.stop();
    }
    cluster.put([slice(['a', 'b', 'd'])]);
    await cluster.startProxy();
  });

  test('servers, sets and rules of others stay as they are, through a change, a check and a restart', async () => {
    const before = await node.state();
    await node.shell(foreign);
    const withForeign = await node.state();
    expect(withForeign.servers.length).toBe(before.servers.length + 4);
    await cluster.apply([slice(['a', 'b'])]);
    await cluster.apply([slice(['a', 'b', 'd'])]);
    await sleep(1.5 * checkSeconds * 1000);
    expect(await node.state()).toEqual(withForeign);
    await cluster.proxy.stop();
    await cluster.startProxy();
    expect(await node.state()).toEqual(withForeign);
  });

  test('cleanup takes away what is ours, and leaves what is theirs', async () => {
    await cluster.proxy.stop();
    const [file = '', ...args] = vipwire;
    await lab.run('node', file, [...args, 'cleanup']);
    const left = await node.state();
    expect(left).toEqual({
      servers: [
        '-A -f 7 -s rr',
        '-A -t 192.168.88.10:9000 -s wlc',
        '-A -u 198.18.0.1:53 -s rr',
        '-a -t 192.168.88.10:9000 -r 10.244.1.2:8080 -m -w 5',
      ],
      addresses: [],
      sets: ['add others 192.0.2.1', 'create others hash:ip family inet maxelem 65536'],
      rules: [
        'filter -A INPUT -s 192.0.2.0/24 -j DROP',
        'mangle -A PREROUTING -d 198.18.0.1/32 -j MARK --set-xmark 0x7/0xffffffff',
      ],
    });
    expect(await node.shell('ip -o link show type dummy')).toBe('');
  });
});
