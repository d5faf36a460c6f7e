import fc from 'fast-check';
import type { Node } from '../../../src/model/cluster';
import { decodeNode } from '../../../src/sources/kubernetes/decode-node';
import { makeNode } from '../../support/cluster-objects';

function decode(object: unknown): { node: Node | undefined; kinds: string[] } {
  const kinds: string[] = [];
  return { node: decodeNode(object, ({ kind }) => kinds.push(kind)), kinds };
}

test('a node: InternalIPs before ExternalIPs', () => {
  const addresses = [
    { type: 'Hostname', address: 'node' },
    { type: 'ExternalIP', address: '203.0.113.9' },
    { type: 'InternalIP', address: 'FD88::10' },
    { type: 'InternalIP', address: '192.168.88.10' },
  ];
  expect(
    decode({
      metadata: { name: 'node', labels: { 'topology.kubernetes.io/zone': 'z1' } },
      spec: { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.0/24', 'fd44:1::/64'] },
      status: { addresses },
    }),
  ).toEqual({
    node: makeNode({
      addresses: ['fd88::10', '192.168.88.10', '203.0.113.9'],
      zone: 'z1',
      podCIDRs: ['10.244.1.0/24', 'fd44:1::/64'],
    }),
    kinds: [],
  });
});

test('a bare node, and podCIDR alone', () => {
  expect(decode({ metadata: { name: 'node' } })).toEqual({ node: makeNode(), kinds: [] });
  expect(decode({ metadata: { name: 'node' }, spec: { podCIDR: '10.244.1.0/24' } }).node?.podCIDRs).toEqual([
    '10.244.1.0/24',
  ]);
});

test.each([
  ['deleted', { metadata: { name: 'node', deletionTimestamp: '2024-05-01T10:00:00Z' } }, true],
  [
    'about to be removed',
    { metadata: { name: 'node' }, spec: { taints: [{ key: 'ToBeDeletedByClusterAutoscaler' }] } },
    true,
  ],
  ['tainted otherwise', { metadata: { name: 'node' }, spec: { taints: [{ key: 'other' }, null] } }, false],
])('%s', (_what, object, leaving) => {
  expect(decode(object).node?.leaving).toBe(leaving);
});

test('what is bad is left out', () => {
  const { node, kinds } = decode({
    metadata: { name: 'node' },
    spec: { podCIDRs: ['x', '10.244.1.0/24'] },
    status: { addresses: [{ type: 'InternalIP', address: 'x' }, null, { type: 'InternalIP', address: '10.0.0.1' }] },
  });
  expect(node).toMatchObject({ podCIDRs: ['10.244.1.0/24'], addresses: ['10.0.0.1'] });
  expect(kinds.sort()).toEqual(['bad-address', 'bad-cidr']);
  expect(decode({ metadata: { name: 'Node!' } })).toEqual({ node: undefined, kinds: ['bad-name'] });
});

test('never throws', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), fc.jsonValue(), (metadata, spec, status) => {
      decode({ metadata, spec, status });
      decode({ metadata: { name: 'node' }, spec, status });
    }),
  );
});
