/** `vipwire cleanup` takes away what is ours and kube-proxy's, and leaves what is anybody else's byte for byte. */
import { BusyCluster, busyObjects, idleObjects } from '../support/busy-cluster';
import { formerRules, kubeletChain, readFormer } from '../support/former-rules';
import { readRecording } from '../support/kube-proxy-rules';
import { vipwire } from '../support/lab/proxied-node';
import { describeAsRoot } from '../support/network-namespace';

/** Docker's, a CNI's, an administrator's and the kubelet's. */
const foreign = `*mangle
:KUBE-IPTABLES-HINT - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
-A PREROUTING -s 10.9.0.0/16 -j MARK --set-xmark 0x5/0xff
COMMIT
*nat
:DOCKER - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-DN-0d1c2 - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A CNI-HOSTPORT-DNAT -p tcp -m multiport --dports 9090 -j CNI-DN-0d1c2
-A CNI-DN-0d1c2 -p tcp -m tcp --dport 9090 -j DNAT --to-destination 10.244.1.9:80
-A DOCKER -i docker0 -j RETURN
COMMIT
*filter
:DOCKER-USER - [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
-A INPUT -j KUBE-FIREWALL
-A INPUT -p tcp -m tcp --dport 22 -m comment --comment "KUBE-SERVICES is not here" -j ACCEPT
-A FORWARD -j DOCKER-USER
-A OUTPUT -j KUBE-FIREWALL
-A DOCKER-USER -j RETURN
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A KUBE-FIREWALL -m comment --comment "kubernetes firewall for dropping marked packets" -m mark --mark 0x8000/0x8000 -j DROP
COMMIT
`;

describeAsRoot('vipwire cleanup', () => {
  describe.each(['nft', 'legacy'] as const)('%s', (variant) => {
    const cluster = new BusyCluster({ variant });
    const cleanUp = async (...flags: readonly string[]): Promise<void> => {
      const [file = '', ...args] = vipwire;
      await cluster.lab.run('node', file, [...args, ...flags]);
    };
    beforeAll(() => cluster.setUp([...busyObjects, ...idleObjects(50, 2)]), 30_000);
    afterAll(() => cluster.stop());
    beforeEach(() => cluster.forgetRules());

    test('our own rules, beside those of others', async () => {
      await cluster.restore(foreign, '--noflush');
      const before = await cluster.rules();
      await cluster.startProxy();
      expect((await cluster.rules()).length).toBeGreaterThan(before.length + 150);
      await cluster.proxy.stop();
      await cleanUp('cleanup');
      expect(await cluster.rules()).toEqual(before);
      await cleanUp('--cleanup');
      expect(await cluster.rules()).toEqual(before);
    }, 60_000);

    test("kube-proxy's rules, beside those of others", async () => {
      await cluster.restore(foreign, '--noflush');
      const before = await cluster.rules();
      for (const recording of ['nodeport-local.1', 'source-ranges.1', 'affinity.1']) {
        // Chains alone and jumps: what the recording has of the chain that the kubelet shares is there already.
        const rules = readRecording(recording, 'v4.rules').replaceAll(
          /^(:|-A )KUBE-FIREWALL .*\n|^-A .* -j KUBE-FIREWALL\n/gm,
          '',
        );
        await cluster.restore(rules.replaceAll('-A INPUT', '-I INPUT'), '--noflush');
        expect((await cluster.rules()).length).toBeGreaterThan(before.length + 30);
        await cleanUp('cleanup', `--iptables-variant=${variant}`);
        expect(await cluster.rules()).toEqual(before);
      }
    }, 60_000);

    test.each(formerRules)(
      'what earlier versions of kube-proxy left goes, by clean-up and by takeover: %s',
      async (file) => {
        const left = readFormer(file).replaceAll(kubeletChain, '');
        await cluster.restore(left, '--noflush');
        await cleanUp('cleanup');
        expect(await cluster.rules()).toEqual([]);

        await cluster.restore(left, '--noflush');
        await cluster.startProxy();
        await cluster.proxy.stop();
        const takenOver = await cluster.rules();
        await cluster.forgetRules();
        await cluster.startProxy();
        await cluster.proxy.stop();
        const fresh = await cluster.rules();
        // The kubelet has a chain of that name too, so a takeover leaves its rules; jumps stay where they stood.
        const isOurs = (line: string): boolean => !line.includes('KUBE-FIREWALL');
        expect(takenOver.filter(isOurs).sort()).toEqual(fresh.filter(isOurs).sort());
      },
      60_000,
    );

    test('beside a kubelet its chains stay, and are named with the reason', async () => {
      await cluster.restore(readFormer('iptables-1.23.rules'), '--noflush');
      const [file = '', ...args] = vipwire;
      const { stdout } = await cluster.lab.run('node', 'sh', ['-c', '"$@" 2>&1', 'sh', file, ...args, 'cleanup']);
      const chains = (await cluster.rules()).filter((line) => / :KUBE-/.test(line));
      expect(chains.sort()).toEqual(
        [
          'filter :KUBE-FIREWALL',
          ...['filter', 'mangle', 'nat'].map((table) => `${table} :KUBE-KUBELET-CANARY`),
        ].sort(),
      );
      for (const chain of chains) expect(stdout).toContain(`${chain.replace(':', '')}: `);
    });

    test('nothing but rules of others: nothing is written', async () => {
      await cluster.restore(foreign, '--noflush');
      const before = await cluster.rules();
      await cleanUp('cleanup');
      expect(await cluster.rules()).toEqual(before);
    });

    test('without a kubelet the chain that it would share goes too', async () => {
      await cluster.startProxy();
      await cluster.proxy.stop();
      await cleanUp('cleanup');
      expect(await cluster.rules()).toEqual([]);
    }, 30_000);
  });

  test("the tables of kube-proxy's nftables mode go too, and no other table", async () => {
    const cluster = new BusyCluster({ variant: 'nft' });
    try {
      await cluster.setUp([]);
      const nft = (...args: readonly string[]): Promise<{ readonly stdout: string }> =>
        cluster.lab.run('node', 'nft', args);
      for (const table of ['ip kube-proxy', 'ip6 kube-proxy', 'inet kube-proxy-of-mine'])
        await nft(...`add table ${table}`.split(' '));
      const [file = '', ...args] = vipwire;
      await cluster.lab.run('node', file, [...args, 'cleanup']);
      expect((await nft('list', 'tables')).stdout).not.toMatch(/ kube-proxy$/m);
      expect((await nft('list', 'tables')).stdout).toContain('table inet kube-proxy-of-mine');
    } finally {
      await cluster.stop();
    }
  }, 30_000);

  test('without any tool, netlink tells whether rules stay', async () => {
    const cluster = new BusyCluster({ variant: 'nft' });
    const cleanUp = (): Promise<string> => {
      const [node = '', bundle = ''] = vipwire;
      const script = 'PATH=/nowhere "$@" 2>&1 || echo "exit 1"';
      return cluster.lab
        .run('node', '/bin/sh', ['-c', script, 'sh', node, bundle, 'cleanup'])
        .then(({ stdout }) => stdout);
    };
    try {
      await cluster.setUp([]);
      expect(await cleanUp()).not.toContain('exit 1');
      await cluster.startProxy();
      await cluster.proxy.stop();
      expect(await cleanUp()).toMatch(
        /"rules stay" .*reason="ip nat has some, and iptables-nft-save is not there"[^]*exit 1/,
      );
    } finally {
      await cluster.stop();
    }
  }, 60_000);
});
