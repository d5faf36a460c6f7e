import fc from 'fast-check';
import type { ClusterWarning, Service } from '../../../src/model/cluster';
import { decodeService } from '../../../src/sources/kubernetes/decode-service';

interface Decoded {
  readonly service: Service | undefined;
  readonly warnings: readonly ClusterWarning[];
}

function decode(object: unknown): Decoded {
  const warnings: ClusterWarning[] = [];
  const service = decodeService(object, (warning) => warnings.push(warning));
  return { service, warnings };
}

/** `default/web`, 10.96.0.10:80, with these fields of its spec and status. */
function decodeSpec(spec: object, status: object = {}, metadata: object = {}): Decoded {
  return decode({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'default', ...metadata },
    spec: {
      type: 'ClusterIP',
      clusterIP: '10.96.0.10',
      clusterIPs: ['10.96.0.10'],
      ipFamilies: ['IPv4'],
      ports: [{ port: 80, protocol: 'TCP', targetPort: 8080 }],
      ...spec,
    },
    status,
  });
}

const kinds = ({ warnings }: Decoded): string[] => warnings.map(({ kind }) => kind);

test('a plain Service', () => {
  expect(decodeSpec({})).toEqual({
    service: {
      kind: 'Service',
      namespace: 'default',
      name: 'web',
      clusterIPs: { IPv4: '10.96.0.10' },
      ports: [{ name: '', protocol: 'TCP', port: 80, nodePort: 0 }],
      affinitySeconds: 0,
      internalTrafficPolicy: 'Cluster',
      externalTrafficPolicy: 'Cluster',
      externalIPs: [],
      loadBalancerIPs: [],
      sourceRanges: [],
      healthCheckNodePort: 0,
    },
    warnings: [],
  });
});

test.each([
  ['headless', { clusterIP: 'None', clusterIPs: ['None'] }, {}],
  ['headless', { clusterIP: undefined, clusterIPs: ['None'] }, {}],
  ['ExternalName', { type: 'ExternalName', clusterIP: '' }, {}],
  ['no cluster IP', { clusterIP: '', clusterIPs: [] }, {}],
  ['no cluster IP', { clusterIP: null, clusterIPs: null }, {}],
  ['another proxy', {}, { labels: { 'service.kubernetes.io/service-proxy-name': '' } }],
])('%s: not proxied', (notProxied, spec, metadata) => {
  const decoded = decodeSpec(spec, {}, metadata);
  expect(decoded.service).toMatchObject({ notProxied, clusterIPs: {}, ports: [] });
  expect(decoded.warnings).toEqual([]);
});

test.each([
  [
    { clusterIPs: ['fd96::10', '10.96.0.10'], ipFamilies: ['IPv6', 'IPv4'] },
    { IPv4: '10.96.0.10', IPv6: 'fd96::10' },
  ],
  [{ clusterIP: '10.096.000.010', clusterIPs: undefined, ipFamilies: undefined }, { IPv4: '10.96.0.10' }],
  [{ clusterIP: 'FD96::10', clusterIPs: undefined, ipFamilies: ['IPv6'] }, { IPv6: 'fd96::10' }],
  // Without ipFamilies spec.clusterIP is all that counts.
  [{ clusterIPs: ['10.96.0.10', 'fd96::10'], ipFamilies: [] }, { IPv4: '10.96.0.10' }],
])('cluster IPs of %j', (spec, clusterIPs) => {
  const decoded = decodeSpec(spec);
  expect(decoded.service?.clusterIPs).toEqual(clusterIPs);
  expect(decoded.warnings).toEqual([]);
});

test('a cluster IP that is none, or of another family than it says, is left out', () => {
  const decoded = decodeSpec({ clusterIPs: ['10.96.0.10', 'fd96::x'], ipFamilies: ['IPv6', 'IPv6'] });
  expect(decoded.service?.clusterIPs).toEqual({});
  expect(kinds(decoded)).toEqual(['bad-address', 'bad-address']);
});

describe('ports', () => {
  const ports = (...list: unknown[]): Decoded => decodeSpec({ ports: list });

  test('of all kinds', () => {
    const decoded = ports(
      { name: 'dns', port: 53, protocol: 'UDP' },
      { name: 'dns', port: 53, nodePort: 30053 },
      { name: 's', port: 1, protocol: 'SCTP' },
    );
    expect(decoded.service?.ports).toEqual([
      { name: 'dns', protocol: 'UDP', port: 53, nodePort: 0 },
      { name: 'dns', protocol: 'TCP', port: 53, nodePort: 30053 },
      { name: 's', protocol: 'SCTP', port: 1, nodePort: 0 },
    ]);
    expect(decoded.warnings).toEqual([]);
  });

  test.each([
    [{ port: 0 }],
    [{ port: 65536 }],
    [{ port: '80' }],
    [{ port: 80.5 }],
    [{ port: null }],
    [{ port: 81, protocol: 'ICMP' }],
    [{ port: 81, protocol: 6 }],
    [{ port: 81, name: 'a b' }],
    [{ port: 81, name: 'A' }],
    [{ port: 81, name: '"; -j ACCEPT' }],
    [{ port: 81, name: 7 }],
    ['80'],
    [null],
    [[80]],
    [{ port: 81, name: 'x'.repeat(64) }],
    // The name, or the number, of the port before.
    [{ port: 81, name: 'ok' }],
    [{ port: 80, name: 'other' }],
  ])('%j is left out, the rest stays', (bad) => {
    const decoded = ports({ name: 'ok', port: 80 }, bad, { name: 'last', port: 8080 });
    expect(decoded.service?.ports.map(({ name }) => name)).toEqual(['ok', 'last']);
    expect(decoded.warnings).toEqual([
      { object: 'Service default/web', kind: 'bad-port', message: expect.stringContaining('left out') as string },
    ]);
  });

  test('of many ports, each that repeats an earlier one by name, number or node port is found', () => {
    const ports = Array.from({ length: 300 }, (_, i) => ({
      name: `p${i % 200}`,
      port: 1 + (i % 250),
      protocol: i % 2 === 0 ? 'TCP' : 'UDP',
      nodePort: 30_000 + (i % 150),
    }));
    const kept: typeof ports = [];
    const expected: string[] = [];
    for (const port of ports) {
      const rivals = kept.filter(({ protocol }) => protocol === port.protocol);
      const isRepeated = rivals.some(({ name, port: number }) => name === port.name || number === port.port);
      const hasNodePort = !rivals.some(({ nodePort }) => nodePort === port.nodePort);
      if (isRepeated || !hasNodePort) expected.push('bad-port');
      if (!isRepeated) kept.push(hasNodePort ? port : { ...port, nodePort: 0 });
    }
    const decoded = decodeSpec({ type: 'NodePort', ports });
    expect(decoded.service?.ports).toEqual(kept);
    expect(kinds(decoded)).toEqual(expected);
  });

  test('a node port that is no number is left out, whatever it is', () => {
    const decoded = decodeSpec({ ports: [{ port: 80, nodePort: { toString: 1 } }] });
    expect(decoded.service?.ports).toMatchObject([{ port: 80, nodePort: 0 }]);
    expect(kinds(decoded)).toEqual(['bad-port']);
  });

  test('a bad node port leaves the port', () => {
    const decoded = ports(
      { name: 'a', port: 80, nodePort: 30080 },
      { name: 'b', port: 81, nodePort: 30080 },
      { name: 'c', port: 82, nodePort: -1 },
    );
    expect(decoded.service?.ports.map(({ nodePort }) => nodePort)).toEqual([30080, 0, 0]);
    expect(kinds(decoded)).toEqual(['bad-port', 'bad-port']);
  });
});

test.each([
  [{}, 0, 0],
  [{ sessionAffinity: 'None' }, 0, 0],
  [{ sessionAffinity: 'ClientIP' }, 10800, 0],
  [{ sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } } }, 600, 0],
  [{ sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 0 } } }, 10800, 1],
  [{ sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 86401 } } }, 10800, 1],
  [{ sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: '600' } } }, 10800, 1],
])('affinity of %j is %i s', (spec, affinitySeconds, warnings) => {
  const decoded = decodeSpec(spec);
  expect(decoded.service?.affinitySeconds).toBe(affinitySeconds);
  expect(decoded.warnings).toHaveLength(warnings);
});

test.each([
  ['ClusterIP', [], 'Cluster'],
  ['ClusterIP', ['198.51.100.1'], 'Local'],
  [undefined, ['198.51.100.1'], 'Local'],
  ['NodePort', [], 'Local'],
  ['LoadBalancer', [], 'Local'],
])('externalTrafficPolicy Local of type %s with external IPs %j is %s', (type, externalIPs, policy) => {
  const decoded = decodeSpec({ type, externalIPs, externalTrafficPolicy: 'Local', healthCheckNodePort: 32000 });
  expect(decoded.service).toMatchObject({
    externalTrafficPolicy: policy,
    healthCheckNodePort: type === 'LoadBalancer' ? 32000 : 0,
  });
});

test('a health check port is for load balancers with policy Local alone, and is missed there', () => {
  expect(decodeSpec({ type: 'LoadBalancer', healthCheckNodePort: 32000 }).service?.healthCheckNodePort).toBe(0);
  const missing = decodeSpec({ type: 'LoadBalancer', externalTrafficPolicy: 'Local' });
  expect(missing.service?.healthCheckNodePort).toBe(0);
  expect(kinds(missing)).toEqual(['bad-port']);
});

test('internalTrafficPolicy', () => {
  expect(decodeSpec({ internalTrafficPolicy: 'Local' }).service?.internalTrafficPolicy).toBe('Local');
  expect(decodeSpec({ internalTrafficPolicy: null }).service?.internalTrafficPolicy).toBe('Cluster');
});

test('external IPs: canonical, once, blanks in silence', () => {
  const decoded = decodeSpec({ externalIPs: ['198.051.100.1', '', '198.51.100.1', '2001:DB8::1', 'example.com', 7] });
  expect(decoded.service?.externalIPs).toEqual(['198.51.100.1', '2001:db8::1']);
  expect(kinds(decoded)).toEqual(['bad-address', 'bad-address']);
});

test('load-balancer addresses: no host names, none that the load balancer keeps', () => {
  const ingress = [
    { ip: '203.0.113.1' },
    { ip: '203.0.113.2', ipMode: 'VIP' },
    { ip: '203.0.113.3', ipMode: 'Proxy' },
    { hostname: 'lb.example.com' },
    { ip: '' },
    { ip: '2001:db8:1::1', ipMode: null },
    { ip: 'nonsense' },
  ];
  const decoded = decodeSpec({}, { loadBalancer: { ingress } });
  expect(decoded.service?.loadBalancerIPs).toEqual(['203.0.113.1', '203.0.113.2', '2001:db8:1::1']);
  expect(kinds(decoded)).toEqual(['bad-address']);
});

test.each([
  [[' 10.0.0.0/8 ', '192.168.088.1/24', 'fd88::1/64'], ['10.0.0.0/8', '192.168.88.0/24', 'fd88::/64'], 0],
  [['10.0.0.0/8', '10.1.2.3/8'], ['10.0.0.0/8'], 0],
  [['10.0.0.0/8', '0.0.0.0/0', 'fd88::/64'], ['fd88::/64'], 0],
  [['10.0.0.0/8', '10.0.0.1', 'nonsense', 7], ['10.0.0.0/8'], 3],
])('source ranges of %j', (loadBalancerSourceRanges, sourceRanges, warnings) => {
  const decoded = decodeSpec({ loadBalancerSourceRanges });
  expect(decoded.service?.sourceRanges).toEqual(sourceRanges);
  expect(kinds(decoded)).toEqual(Array(warnings).fill('bad-cidr'));
});

test.each([
  [{ name: 'Web' }, 'Service "default"/"Web"'],
  [{ name: 'web.shop' }, 'Service "default"/"web.shop"'],
  [{ name: '' }, 'Service "default"/""'],
  [{ name: 7 }, 'Service "default"/""'],
  [{ namespace: undefined }, 'Service ""/"web"'],
  [{ namespace: 'a" -j DROP\n' }, 'Service "a\\" -j DROP\\n"/"web"'],
])('a name like %j: the object is ignored', (metadata, object) => {
  const decoded = decodeSpec({}, {}, metadata);
  expect(decoded.service).toBeUndefined();
  expect(decoded.warnings).toEqual([{ object, kind: 'bad-name', message: expect.any(String) as string }]);
});

test('never throws, and makes nothing that a rule could not hold', () => {
  const anything = fc.oneof(fc.jsonValue(), fc.constantFrom('web', 'default', 80, '10.96.0.10', 'x'.repeat(100_000)));
  const specArb = fc.dictionary(
    fc.constantFrom(
      'type',
      'clusterIP',
      'clusterIPs',
      'ipFamilies',
      'ports',
      'externalIPs',
      'sessionAffinity',
      'sessionAffinityConfig',
      'loadBalancerSourceRanges',
      'externalTrafficPolicy',
      'healthCheckNodePort',
    ),
    fc.oneof(
      anything,
      fc.array(anything),
      fc.array(fc.dictionary(fc.constantFrom('name', 'port', 'protocol', 'nodePort'), anything)),
    ),
  );
  fc.assert(
    fc.property(fc.oneof(anything, specArb), fc.oneof(anything, specArb), (spec, status) => {
      const { service } = decode({ metadata: { name: 'web', namespace: 'default' }, spec: spec ?? {}, status });
      for (const port of service?.ports ?? []) {
        expect(port.name).toMatch(/^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$/);
        expect(port.port > 0 && port.port < 65536 && port.nodePort >= 0 && port.nodePort < 65536).toBe(true);
      }
      decode(spec);
    }),
    { numRuns: 500 },
  );
});
