/** In IPVS mode too, the counters that a packet increases are those of the rules that explain named. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Explanation } from '../../../src/explain/explain-connection';
import { service, slice } from '../../conformance/objects';
import { BusyCluster } from '../../support/busy-cluster';
import { describeWithIpvs } from '../../support/ipvs-kernel';
import { Lab } from '../../support/lab/lab';
import { vipwire } from '../../support/lab/proxied-node';
import { addresses, type Place } from '../../support/lab/topology';
import { movedRules, parseCounters } from '../../support/rule-counters';

const port = { port: 80, targetPort: 7777, protocol: 'UDP' } as const;
const slicePorts = [{ port: 7777, protocol: 'UDP' }] as const;
const objects = [
  service({ name: 'one', type: 'NodePort', ports: [{ ...port, nodePort: 30080 }] }),
  slice(['a'], { service: 'one', ports: slicePorts }),
  service({ name: 'none', clusterIPs: ['10.96.0.12'], ports: [port] }),
  service({
    name: 'local',
    type: 'LoadBalancer',
    clusterIPs: ['10.96.0.13'],
    ports: [{ ...port, nodePort: 30083 }],
    ingress: [{ ip: '203.0.113.5' }],
    spec: { externalTrafficPolicy: 'Local' },
  }),
  slice(['d'], { service: 'local', ports: slicePorts }),
];

const questions: readonly (readonly [from: Place, to: string, port: number, outcome: Explanation['outcome']])[] = [
  ['node', '10.96.0.10', 80, 'forwarded'],
  ['ext', addresses.node.IPv4, 30080, 'forwarded'],
  ['b', '203.0.113.5', 80, 'forwarded'],
  ['ext', '10.96.0.12', 80, 'refused'],
];

describeWithIpvs('explain, ipvs', () => {
  const lab = new Lab();
  const cluster = new BusyCluster({ mode: 'ipvs', slow: 2, lab });

  beforeAll(async () => {
    await lab.start();
    await cluster.setUp(objects);
    await cluster.startProxy();
    await cluster.proxy.stop();
    // Answers would be counted, too.
    for (const place of ['a', 'd'] as const)
      await lab.run(place, 'iptables', ['-A', 'OUTPUT', '-p', 'icmp', '-j', 'DROP']);
  }, 240_000);
  afterAll(async () => {
    await cluster.stop();
    await lab.stop();
  }, 240_000);

  const readCounters = async (): Promise<ReadonlyMap<string, number>> =>
    parseCounters((await lab.run('node', 'iptables-save', ['-c'])).stdout);

  test.each(questions)(
    'from %s to %s:%i: %s',
    async (from, to, number, outcome) => {
      const [file = '', ...args] = vipwire;
      const config = `--config=${join(lab.directory, 'config.json')}`;
      const question = ['explain', config, '--node', 'node', '-o', 'json'];
      const source = from === 'node' ? 'node' : addresses[from].IPv4;
      const asked = [file, ...args, ...question, source, `${to}:${number}/udp`];
      const { stdout } = await lab.run('node', 'sh', ['-c', '"$@" || true', 'sh', ...asked]);
      const told = JSON.parse(stdout) as Explanation;
      expect(told).toMatchObject({ outcome, mode: 'ipvs', disagreement: '' });
      const named = new Set(
        told.rules.flatMap(({ table, chain, text }) => (table === 'ipvs' ? [] : `${table} ${chain} ${text}`)),
      );

      const before = await readCounters();
      await lab.run(from, 'bash', ['-c', `echo > /dev/udp/${to}/${number}`]);
      await sleep(300);
      const moved = movedRules(before, await readCounters());
      // The node's own ICMP passes OUTPUT.
      const isOwn = (rule: string): boolean => outcome === 'refused' && / OUTPUT /.test(rule);
      expect(new Set(moved.filter((rule) => !isOwn(rule)))).toEqual(named);
    },
    240_000,
  );
});
