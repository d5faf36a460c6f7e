/** As the test of iptables mode, but with virtual servers, sets and addresses. */
import { askNode } from '../../support/ask-node';
import { BusyCluster, busyObjects, idleObjects } from '../../support/busy-cluster';

const cluster = new BusyCluster({ mode: 'ipvs', slow: 10 });
const onNode = (script: string): Promise<unknown> => cluster.lab.run('node', 'sh', ['-ec', script]);

beforeAll(async () => {
  await cluster.setUp([...busyObjects, ...idleObjects(5, 3)]);
  await cluster.startProxy();
  await cluster.proxy.stop();
}, 240_000);
afterAll(() => cluster.stop());

test('as it should be', async () => {
  expect(await askNode(cluster, 'diff', '--output', 'summary')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^IPv4, node node, ipvs mode: \d+ services: as it should be\n/) as unknown,
  });
  expect(await askNode(cluster, 'compare')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^IPv4, node node, ipvs mode: \d+ services, \d+ frontends: the same\n/) as unknown,
  });
}, 400_000);

test('servers, sets and addresses that somebody changed', async () => {
  await onNode(`ipvsadm -A -t 10.96.0.10:9999 -s rr
    ipset del KUBE-CLUSTER-IP "$(ipset save KUBE-CLUSTER-IP | sed -n 's/^add KUBE-CLUSTER-IP //p' | grep 10.96.0.10,tcp:80)"
    ip address add 10.96.7.7/32 dev kube-ipvs0`);
  const { code, stdout } = await askNode(cluster, 'diff');
  expect(stdout).toContain('TCP 10.96.0.10:9999 was added: no set has it');
  expect(stdout).toContain('10.96.0.10,tcp:80 was removed from KUBE-CLUSTER-IP: its virtual server is there');
  expect(stdout).toContain('10.96.7.7 was added: it has no virtual server');
  expect(code).toBe(1);
}, 400_000);
