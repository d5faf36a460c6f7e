/** A Pod in the network of the node: its packets are delivered on the node, so it sees the client. explain and compare know that. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodes } from '../conformance/objects';
import { Lab } from '../support/lab/lab';
import { vipwire } from '../support/lab/proxied-node';
import { describeAsRoot } from '../support/network-namespace';
import { askAll, hostNetworkObjects, wantedSources } from '../support/host-network';

/** What kube-proxy's nftables mode writes for such a Service, reduced to this one. */
const nftables = `
table ip kube-proxy {
  map service-ips {
    type ipv4_addr . inet_proto . inet_service : verdict
    elements = { 10.96.0.10 . tcp . 80 : goto service-web }
  }
  map service-nodeports {
    type inet_proto . inet_service : verdict
    elements = { tcp . 30080 : goto external-web }
  }
  chain nat-prerouting { type nat hook prerouting priority -100; policy accept; jump services; }
  chain nat-output { type nat hook output priority -100; policy accept; jump services; }
  chain nat-postrouting { type nat hook postrouting priority 100; policy accept; jump masquerading; }
  chain masquerading {
    meta mark & 0x4000 == 0 return
    meta mark set meta mark ^ 0x4000
    masquerade fully-random
  }
  chain services {
    ip daddr . meta l4proto . th dport vmap @service-ips
    fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @service-nodeports
  }
  chain mark-for-masquerade { meta mark set meta mark | 0x4000; }
  chain external-web { jump mark-for-masquerade; goto service-web; }
  chain service-web {
    ip daddr 10.96.0.10 tcp dport 80 ip saddr != 10.244.0.0/16 jump mark-for-masquerade
    meta l4proto tcp dnat to 192.168.88.10:9999
  }
}
`;

describeAsRoot('a Pod in the network of this node', () => {
  const lab = new Lab();
  const manifests = join(lab.directory, 'cluster.json');
  const node = ['-f', manifests, '--node', 'node', '--cluster-cidr', '10.244.0.0/16', '--ip-family', 'IPv4'];
  const [file = '', ...args] = vipwire;

  beforeAll(async () => {
    await lab.start();
    const items = [...nodes, ...hostNetworkObjects];
    writeFileSync(manifests, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  }, 60_000);
  afterAll(() => lab.stop());

  test.each(['nft', 'legacy'] as const)(
    'iptables-%s',
    async (variant) => {
      const { stdout } = await lab.run('node', file, [...args, 'render', ...node]);
      await lab.run('node', `iptables-${variant}-restore`, ['--noflush'], stdout);
      const rules = join(lab.directory, variant);
      writeFileSync(rules, (await lab.run('node', `iptables-${variant}-save`, [])).stdout);
      expect(await askAll(lab, [...node, '--iptables-save', rules])).toEqual(wantedSources);
      await lab.run('node', 'sh', ['-c', `iptables-${variant}-save | grep -v KUBE | iptables-${variant}-restore`]);
    },
    60_000,
  );

  test("nftables, with rules like kube-proxy's", async () => {
    await lab.run('node', 'nft', ['-f', '-'], nftables);
    const rules = join(lab.directory, 'ruleset.json');
    writeFileSync(rules, (await lab.run('node', 'nft', ['-j', 'list', 'ruleset'])).stdout);
    expect(await askAll(lab, [...node, '--nft', rules])).toEqual(wantedSources);
  }, 60_000);
});
