/** What the API server would say to the objects, as far as this side can know, and what is left of them. */
import { ClusterStore } from '../../src/model/cluster-store';
import { parseManifests } from '../../src/sources/manifests/parse-manifests';
import { type ClusterFamily, type LabObject, planClusterObjects } from '../../scripts/kind/cluster-objects';
import { readObjectSets } from '../../scripts/kind/read-objects';

const sets = readObjectSets();

interface Planned {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: Readonly<Record<string, unknown>>;
}

const plan = (family: ClusterFamily): Planned[] => planClusterObjects(sets, family) as Planned[];

function store(objects: readonly Planned[]): [ClusterStore, string[]] {
  const cluster = new ClusterStore(0);
  const parsed = parseManifests(JSON.stringify({ kind: 'List', apiVersion: 'v1', items: objects }), 'objects');
  for (const { sets: changes } of parsed.objects) cluster.apply(changes);
  return [cluster, parsed.warnings.map(({ message }) => message)];
}

describe.each(['ipv4', 'ipv6', 'dual'] as const)('%s', (family) => {
  const objects = plan(family);
  const text = JSON.stringify(objects);
  const known = new Set(objects.filter(({ kind }) => kind === 'Namespace').map(({ metadata }) => metadata.name));

  test('every Service of every set is there, once, in a namespace that comes before it', () => {
    const services = sets.flatMap((set) => set.objects.filter(({ kind }) => kind === 'Service'));
    expect(objects.filter(({ kind }) => kind === 'Service')).toHaveLength(services.length);
    const names = objects.map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`);
    expect(new Set(names).size).toBe(names.length);
    const ordered = objects.map(({ kind }) => kind === 'Namespace');
    expect(ordered.lastIndexOf(true)).toBeLessThan(ordered.indexOf(false));
    for (const { kind, metadata } of objects) {
      const namespace = kind === 'Namespace' ? metadata.name : (metadata.namespace ?? '');
      expect(known).toContain(namespace);
      expect(namespace).toMatch(/^[a-z0-9-]{1,63}$/);
    }
  });

  test('nothing that the API server or a controller gives out, and no node of the lab', () => {
    expect(text).not.toMatch(/"(nodePort|healthCheckNodePort|selector|clusterIPs)":|"clusterIP":"[^N]/);
    expect(text).not.toMatch(/endpointslice-controller|"nodeName":"node2?"/);
    expect(text).not.toMatch(/"name":"node2?"/);
    expect(text).toContain('"nodeName":"vipwire-worker2"');
  });

  test('addresses are of the families that the cluster has', () => {
    const isIPv4 = /"(\d+\.){3}\d+(\/\d+)?"/.test(text);
    const isIPv6 = /"[\da-f]*:[\da-f:]+(\/\d+)?"/.test(text);
    expect([isIPv4, isIPv6]).toEqual([family !== 'ipv6', family !== 'ipv4']);
  });

  test('an address from outside belongs to one set', () => {
    const owners = new Map<string, Set<string>>();
    for (const { metadata, spec } of objects)
      for (const address of (spec?.['externalIPs'] ?? []) as readonly string[])
        owners.set(address, (owners.get(address) ?? new Set()).add(metadata.namespace ?? ''));
    expect(owners.size).toBeGreaterThan(1);
    for (const namespaces of owners.values()) expect(namespaces.size).toBe(1);
  });

  test('vipwire takes all of it', () => {
    const [cluster, warnings] = store(objects);
    // The cluster gives them their IPs.
    expect(warnings.filter((text) => !text.includes('no cluster IP'))).toEqual([]);
    expect(cluster.services.size).toBe(objects.filter(({ kind }) => kind === 'Service').length);
  });
});

test('in a cluster of IPv6 alone, IPv4 is the end of an address', () => {
  const objects = [
    {
      kind: 'Service',
      metadata: { name: 'web' },
      spec: { ipFamilies: ['IPv4'], ports: [{ port: 80 }], loadBalancerSourceRanges: ['192.168.88.0/24'] },
      status: { loadBalancer: { ingress: [{ ip: '203.0.113.5', ipMode: 'VIP' }] } },
    },
    {
      kind: 'EndpointSlice',
      metadata: { name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['10.244.1.2'], nodeName: 'node', hints: { forNodes: [{ name: 'node2' }] } }],
    },
  ] as unknown as LabObject[];
  expect(planClusterObjects([{ name: 'one', objects }], 'ipv6').slice(1)).toMatchObject([
    {
      metadata: { name: 'web', namespace: 'one-default' },
      spec: { ipFamilies: ['IPv6'], ipFamilyPolicy: 'SingleStack', loadBalancerSourceRanges: ['fd64::c0a8:5800/120'] },
      status: { loadBalancer: { ingress: [{ ip: 'fd18::1', ipMode: 'VIP' }] } },
    },
    {
      addressType: 'IPv6',
      endpoints: [
        {
          addresses: ['fd64::af4:102'],
          nodeName: 'vipwire-worker',
          hints: { forNodes: [{ name: 'vipwire-worker2' }] },
        },
      ],
    },
  ]);
});
