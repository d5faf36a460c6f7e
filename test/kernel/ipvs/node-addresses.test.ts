/** The node gets an address and loses it, and a Service claims an address of another Node. */
import { service, slice } from '../../conformance/objects';
import { ProxiedCluster } from '../../conformance/proxied-cluster';
import { describeWithIpvs } from '../../support/ipvs-kernel';
import { vipwire } from '../../support/lab/proxied-node';
import { addresses, type Place } from '../../support/lab/topology';
import { until } from '../../support/until';

const slow = 12;
const nodePort = 30080;
const added = '192.168.88.50';
const ofNode2 = addresses.node2.IPv4;
const external = '198.51.100.7';

describeWithIpvs('addresses of the node, ipvs', () => {
  const cluster = new ProxiedCluster({ mode: 'ipvs', command: vipwire, slow });
  const { lab } = cluster;
  const objects = [
    service({
      type: 'NodePort',
      ports: [{ port: 80, targetPort: 8080, nodePort }],
      spec: { externalIPs: [ofNode2, external] },
    }),
    slice(['a']),
  ];
  beforeAll(() => cluster.start(objects), 400_000);
  afterAll(() => cluster.stop(), 240_000);

  const answers = async (): Promise<boolean> =>
    (await lab.probe('ext', { to: added, port: nodePort, timeoutMs: 300 }))[0]?.outcome === 'ok';
  const hasServer = async (): Promise<boolean> =>
    (await lab.run('node', 'ipvsadm', ['-Sn'])).stdout.includes(`${added}:${nodePort}`);

  test('NodePorts soon answer on a new address, and its server is removed with the address', async () => {
    for (const round of [1, 2]) {
      await lab.run('node', 'ip', ['address', 'add', `${added}/24`, 'dev', 'eth0']);
      const tookMs = await until(answers, { what: `an answer of ${added}`, limitMs: 1000 * slow, everyMs: 50 });
      console.log(`round ${round}: NodePorts answered on a new address after ${Math.round(tookMs)} ms`);
      await lab.run('node', 'ip', ['address', 'delete', `${added}/24`, 'dev', 'eth0']);
      const isGone = async (): Promise<boolean> => !(await hasServer());
      await until(isGone, { what: 'the end of its server', limitMs: 1000 * slow, everyMs: 100 });
    }
  }, 400_000);

  const bound = async (): Promise<string> =>
    (await lab.run('node', 'ip', ['-o', 'address', 'show', 'dev', 'kube-ipvs0'])).stdout;
  const ask = async (from: Place, to: string, port: number): Promise<unknown> =>
    (await lab.probe(from, { to, port, timeoutMs: 1000 + 300 * slow }))[0];

  test('an external IP that another Node has is not bound, and that Node is reached on its ports', async () => {
    expect(await bound()).not.toContain(ofNode2);
    expect(cluster.log()).toContain(`${ofNode2} is an address of Node node2`);
    for (const from of ['c', 'node'] as const) {
      expect(await ask(from, ofNode2, 8080)).toMatchObject({ outcome: 'ok', pod: 'node2' });
      expect(await ask(from, external, 80)).toMatchObject({ outcome: 'ok', pod: 'a' });
    }
    // The node's own connections pass the virtual server on their way out. Those of pods go to the Node that has the address.
    expect(await ask('node', ofNode2, 80)).toMatchObject({ outcome: 'ok', pod: 'a' });
    expect(await ask('c', ofNode2, 80)).toMatchObject({ outcome: 'ok', pod: 'node2' });
  }, 400_000);

  test('an address that was bound, for example by kube-proxy, is given back', async () => {
    await lab.run('node', 'ip', ['address', 'add', `${ofNode2}/32`, 'dev', 'kube-ipvs0']);
    await cluster.restart(objects);
    expect(await bound()).not.toContain(ofNode2);
    expect(await bound()).toContain(external);
    expect(await ask('c', ofNode2, 8080)).toMatchObject({ outcome: 'ok', pod: 'node2' });
  }, 400_000);
});
