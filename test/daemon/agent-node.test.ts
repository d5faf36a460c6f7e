import type { Node } from '../../src/model/cluster';
import { makeEndpoint, makeNode, makeService, makeSlice } from '../support/cluster-objects';
import type { FakeNode } from './fake-node';
import { fakeNode, nodeCIDR, stopNodes, web } from './fake-node';

afterEach(stopNodes);

describe('detectLocalMode NodeCIDR', () => {
  const withCIDR = makeNode({ podCIDRs: ['10.244.1.0/24'] });

  test('waits for the Node to be given podCIDRs', async () => {
    const node = await fakeNode(nodeCIDR).running(...web, makeNode());
    expect(node.writes).toBe(0);
    expect(node.said('waiting for the Node')).toHaveLength(1);
    node.set(makeNode({ name: 'other', podCIDRs: ['10.244.9.0/24'] }));
    await node.clock.advance(60_000);
    expect(node.writes).toBe(0);
    node.set(withCIDR);
    await node.clock.advance(0);
    expect(node.tables.IPv4.print()).toContain('! -s 10.244.1.0/24 -j KUBE-MARK-MASQ');
    await node.clock.advance(600_000);
    await expect(Promise.race([node.agent.failed, Promise.resolve('goes on')])).resolves.toBe('goes on');
  });

  test('does not wait where it has them', async () => {
    const node = await fakeNode(nodeCIDR).running(...web, withCIDR);
    expect(node.writes).toBe(2);
    expect(node.said('waiting for the Node')).toEqual([]);
  });

  test('gives up after five minutes, as kube-proxy', async () => {
    const node = await fakeNode(nodeCIDR).running(...web, makeNode());
    await node.clock.advance(290_000);
    await expect(Promise.race([node.agent.failed, Promise.resolve('goes on')])).resolves.toBe('goes on');
    await node.clock.advance(10_000);
    await expect(node.agent.failed).rejects.toThrow(
      'Node node has no podCIDRs after 5 minutes (detectLocalMode NodeCIDR)',
    );
    expect(node.writes).toBe(0);
  });

  test('and says so where there was no Node at all', async () => {
    const node = await fakeNode(nodeCIDR).running(...web);
    await node.clock.advance(300_000);
    await expect(node.agent.failed).rejects.toThrow('there is no Node node after 5 minutes');
  });

  test('podCIDRs of the other family alone end it, as kube-proxy', async () => {
    const other = makeNode({ addresses: ['192.168.88.10'], podCIDRs: ['fd44::/64'] });
    const node = await fakeNode(nodeCIDR).running(...web, other);
    await expect(node.agent.failed).rejects.toThrow(
      "the Node's podCIDRs: only IPv6 addresses, but the node's primary family is IPv4",
    );
    expect(node.writes).toBe(0);
  });

  test('other podCIDRs are followed', async () => {
    const node = await fakeNode(nodeCIDR).running(...web, withCIDR);
    node.set({ ...withCIDR, podCIDRs: ['10.244.2.0/24'] });
    await node.clock.advance(2000);
    expect(node.tables.IPv4.print()).toContain('! -s 10.244.2.0/24 -j KUBE-MARK-MASQ');
    expect(node.tables.IPv4.print()).not.toContain('10.244.1.0/24');
  });
});

describe("the node's addresses", () => {
  const nodePort = makeService({ ports: [{ name: '', protocol: 'TCP', port: 80, nodePort: 30080 }] });
  const primary = { nodePortAddresses: ['primary'] } as const;
  const dispatch = (node: FakeNode): string =>
    node.tables.IPv4.print()
      .match(/.* -j KUBE-NODEPORTS/gm)
      ?.join() ?? '';

  test('that match nodePortAddresses are followed within seconds', async () => {
    const node = await fakeNode({ nodePortAddresses: ['192.168.88.0/24'] }).running(nodePort, web[1]);
    expect(dispatch(node)).toMatch(/-d 192\.168\.88\.10\/32/);
    node.addresses = ['127.0.0.1', '192.168.88.10', '192.168.88.11'];
    await node.clock.advance(5000);
    expect(dispatch(node)).toMatch(/-d 192\.168\.88\.11\/32/);
    node.addresses = ['127.0.0.1', '192.168.88.11'];
    await node.clock.advance(5000);
    expect(dispatch(node)).not.toContain('192.168.88.10');
  });

  test('primary waits for those of the Node, and follows them', async () => {
    const node = await fakeNode(primary).running(nodePort, web[1], makeNode());
    expect(node.writes).toBe(0);
    expect(node.said('waiting for the addresses of the Node')).toHaveLength(1);
    node.set(makeNode({ addresses: ['192.168.88.10'] }));
    await node.clock.advance(0);
    expect(dispatch(node)).toMatch(/-d 192\.168\.88\.10\/32/);
    node.addresses = ['127.0.0.1', '192.168.88.10', '192.168.88.20'];
    node.set(makeNode({ addresses: ['192.168.88.20'] }));
    await node.clock.advance(5000);
    expect(dispatch(node)).not.toContain('192.168.88.10');
    expect(dispatch(node)).toContain('192.168.88.20');
    expect(node.said('has no address')).toEqual([]);
  });

  test('primary goes on without after 30 s, as kube-proxy', async () => {
    const node = await fakeNode(primary).running(nodePort, web[1]);
    await node.clock.advance(27_000);
    expect(node.writes).toBe(0);
    await node.clock.advance(2000);
    expect(dispatch(node)).toContain('--dst-type LOCAL');
    expect(node.said('the Node has no address')).toHaveLength(1);
  });

  const ofNet = { nodePortAddresses: ['192.168.88.0/24'] } as const;

  test('that cannot be read at the start are waited for, said once, and asked again', async () => {
    const node = fakeNode(ofNet);
    node.addressFault = 'netlink request 0x16: EINTR';
    await node.running(nodePort, web[1]);
    await node.clock.advance(60_000);
    expect(node.writes).toBe(0);
    expect(node.agent.waitingFor()).toEqual(['the addresses of this machine cannot be read']);
    expect(node.said('cannot tell which addresses this machine has')).toHaveLength(1);
    node.addressFault = undefined;
    await node.clock.advance(2000);
    expect(dispatch(node)).toMatch(/-d 192\.168\.88\.10\/32/);
    expect(node.agent.waitingFor()).toEqual([]);
  });

  test('that cannot be read later on stay what they were', async () => {
    const node = await fakeNode(ofNet).running(nodePort, web[1]);
    const before = node.tables.IPv4.print();
    const { writes } = node;
    node.addressFault = 'spawn ip EAGAIN';
    await node.clock.advance(120_000);
    expect(node.tables.IPv4.print()).toBe(before);
    expect(node.writes).toBe(writes);
    expect(node.said('cannot tell which addresses this machine has')).toHaveLength(1);
    node.addressFault = undefined;
    node.addresses = ['192.168.88.11'];
    await node.clock.advance(30_000);
    expect(dispatch(node)).toMatch(/-d 192\.168\.88\.11\/32/);
  });

  test('nothing waits for them without primary', async () => {
    const node = await fakeNode().running(nodePort, web[1]);
    expect(node.writes).toBe(2);
  });
});

describe('the Node', () => {
  test('what does not matter of it leads to no round', async () => {
    const node = await fakeNode().running(...web, makeNode());
    const rounds = await node.metric('kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family="IPv4"}');
    node.set(makeNode({ leaving: true }), makeNode({ name: 'other', zone: 'z2' }));
    await node.clock.advance(5000);
    expect(await node.metric('kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family="IPv4"}')).toBe(rounds);
    expect(node.health.nodeEligible()).toBe(false);
  });

  test('its zone counts for hints', async () => {
    const hinted = (address: string, zone: string): ReturnType<typeof makeEndpoint> =>
      makeEndpoint(address, { zoneHints: [zone], zone });
    const slice = makeSlice([hinted('10.0.0.1', 'z1'), hinted('10.0.0.2', 'z2')]);
    const node = await fakeNode().running(makeService(), slice, makeNode({ zone: 'z1' }));
    expect(node.tables.IPv4.print()).not.toContain('10.0.0.2:8080');
    node.set(makeNode({ zone: 'z2' }));
    await node.clock.advance(2000);
    expect(node.tables.IPv4.print()).toContain('10.0.0.2:8080');
    expect(node.tables.IPv4.print()).not.toContain('10.0.0.1:8080');
  });

  test('one that is deleted stays what it was', async () => {
    const known: Node = makeNode({ podCIDRs: ['10.244.1.0/24'] });
    const node = await fakeNode(nodeCIDR).running(...web, known);
    expect(node.health.nodeEligible()).toBe(true);
    node.source.sink?.apply([{ op: 'delete', kind: 'Node', namespace: '', name: 'node' }]);
    await node.clock.advance(5000);
    expect(node.health.nodeEligible()).toBe(true);
    expect(node.tables.IPv4.print()).toContain('! -s 10.244.1.0/24 -j KUBE-MARK-MASQ');
  });
});

test.each([
  ['that no Node has is said once', [], 1],
  ['that a Node has needs no word', [makeNode({ name: 'node' })], 0],
  ['is said also where there are other Nodes', [makeNode({ name: 'node-1' })], 1],
])('a node name %s', async (_, objects, times) => {
  const node = await fakeNode().running(...web, ...objects);
  await node.clock.advance(60_000);
  node.set(makeService({ name: 'later', clusterIPs: { IPv4: '10.96.0.40' } }));
  await node.clock.advance(60_000);
  expect(node.said('no Node is named node')).toHaveLength(times);
});
