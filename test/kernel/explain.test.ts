/** The counters that increase when a packet is sent are those of the rules that explain named. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Explanation } from '../../src/explain/explain-connection';
import { nodes, service, slice } from '../conformance/objects';
import { BusyCluster, busyObjects } from '../support/busy-cluster';
import { Lab } from '../support/lab/lab';
import { vipwire } from '../support/lab/proxied-node';
import { addresses, type Place } from '../support/lab/topology';
import { movedRules, parseCounters } from '../support/rule-counters';
import { describeAsRoot } from '../support/network-namespace';

const ports = [{ port: 80, targetPort: 7777, protocol: 'UDP' }] as const;
const external = (nodePort: number): readonly [(typeof ports)[0] & { readonly nodePort: number }] => [
  { ...ports[0], nodePort },
];
const slicePorts = [{ port: 7777, protocol: 'UDP' }] as const;
const objects = [
  ...nodes,
  service({ name: 'one', type: 'NodePort', ports: external(30080) }),
  slice(['a'], { service: 'one', ports: slicePorts }),
  service({ name: 'two', clusterIPs: ['10.96.0.11'], ports }),
  slice(['a', 'b'], { service: 'two', ports: slicePorts }),
  service({ name: 'none', clusterIPs: ['10.96.0.12'], ports }),
  service({
    name: 'local',
    type: 'LoadBalancer',
    clusterIPs: ['10.96.0.13'],
    ports: external(30083),
    ingress: [{ ip: '203.0.113.5' }],
    spec: { externalTrafficPolicy: 'Local' },
  }),
  slice(['d'], { service: 'local', ports: slicePorts }),
  service({
    name: 'ranges',
    type: 'LoadBalancer',
    clusterIPs: ['10.96.0.14'],
    ports: external(30084),
    ingress: [{ ip: '203.0.113.6' }],
    spec: { loadBalancerSourceRanges: ['10.244.0.0/16'] },
  }),
  slice(['a'], { service: 'ranges', ports: slicePorts }),
];

type Question = readonly [from: Place, to: string, port: number, outcome: Explanation['outcome']];
const questions: readonly Question[] = [
  ['b', '10.96.0.10', 80, 'forwarded'],
  ['a', '10.96.0.10', 80, 'forwarded'],
  ['node', '10.96.0.10', 80, 'forwarded'],
  ['ext', '10.96.0.10', 80, 'forwarded'],
  ['ext', addresses.node.IPv4, 30080, 'forwarded'],
  ['b', '10.96.0.11', 80, 'forwarded'],
  ['ext', '10.96.0.12', 80, 'refused'],
  ['ext', '203.0.113.5', 80, 'dropped'],
  ['b', '203.0.113.5', 80, 'forwarded'],
  ['ext', '203.0.113.6', 80, 'dropped'],
  ['b', '203.0.113.6', 80, 'forwarded'],
  ['ext', '10.96.0.10', 81, 'untouched'],
];

describeAsRoot('explain', () => {
  describe.each(['nft', 'legacy'] as const)('iptables-%s', (variant) => {
    const lab = new Lab();
    const manifests = join(lab.directory, 'cluster.json');
    const rules = join(lab.directory, 'rules');
    const node = ['-f', manifests, '--node', 'node', '--cluster-cidr', '10.244.0.0/16'];
    const [file = '', ...args] = vipwire;

    beforeAll(async () => {
      await lab.start();
      writeFileSync(manifests, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
      const { stdout } = await lab.run('node', file, [...args, 'render', ...node, '--ip-family', 'IPv4']);
      await lab.run('node', `iptables-${variant}-restore`, ['--noflush'], stdout);
      // Answers would be counted, too.
      for (const place of ['a', 'b', 'd'] as const)
        await lab.run(place, 'iptables-nft', ['-A', 'OUTPUT', '-p', 'icmp', '-j', 'DROP']);
    }, 60_000);
    afterAll(() => lab.stop());

    const readCounters = async (): Promise<ReadonlyMap<string, number>> => {
      const { stdout } = await lab.run('node', `iptables-${variant}-save`, ['-c']);
      writeFileSync(rules, stdout);
      return parseCounters(stdout);
    };

    test.each(questions)('from %s to %s:%i: %s', async (from, to, port, outcome) => {
      const before = await readCounters();
      await lab.run(from, 'bash', ['-c', `echo > /dev/udp/${to}/${port}`]);
      await sleep(200);
      const moved = movedRules(before, await readCounters());

      const source = from === 'node' ? 'node' : addresses[from].IPv4;
      const question = ['explain', ...node, '--iptables-save', rules, '-o', 'json', source, `${to}:${port}/udp`];
      const { stdout } = await lab.run('node', 'sh', ['-c', '"$@" || true', 'sh', file, ...args, ...question]);
      const told = JSON.parse(stdout) as Explanation;
      expect(told).toMatchObject({ outcome, disagreement: '' });
      const named = (isCertain: boolean): string[] =>
        told.rules
          .filter(({ share }) => !isCertain || share > 0.99)
          .map(({ table, chain, text }) => `${table} ${chain} ${text}`);
      // The node's own ICMP passes OUTPUT.
      const byPacket = outcome === 'refused' ? moved.filter((rule) => !rule.startsWith('filter OUTPUT ')) : moved;
      expect(named(false)).toEqual(expect.arrayContaining(byPacket));
      expect(byPacket).toEqual(expect.arrayContaining(named(true)));
      if (told.receivers.length === 1 && from !== 'a') expect(new Set(byPacket)).toEqual(new Set(named(false)));
    });
  });

  test('on the node: the cluster from its API server, the rules from its kernel, and what somebody changed in them', async () => {
    const cluster = new BusyCluster({ variant: 'nft' });
    try {
      await cluster.setUp(busyObjects);
      await cluster.startProxy();
      const config = `--config=${join(cluster.lab.directory, 'config.json')}`;
      const ask = async (): Promise<string> => {
        const [file = '', ...args] = vipwire;
        const question = [...args, 'explain', config, '--node', 'node', 'outside', '10.96.0.11:80'];
        return (await cluster.lab.run('node', 'sh', ['-c', '"$@"; echo "exit $?"', 'sh', file, ...question])).stdout;
      };
      const told = await ask();
      expect(told).toContain('ClusterIP 10.96.0.11:80/tcp of default/self: forwarded');
      expect(told).not.toContain('BUT');
      expect(told).toMatch(/exit 0\n$/);
      await cluster.proxy.stop();
      await cluster.iptables('-t', 'nat', '-I', 'KUBE-SERVICES', '-d', '10.96.0.11', '-j', 'RETURN');
      const changed = await ask();
      expect(changed).toContain('BUT       by the rules the connection is untouched, not forwarded');
      expect(changed).toMatch(/exit 1\n$/);
    } finally {
      await cluster.stop();
    }
  }, 60_000);
});
