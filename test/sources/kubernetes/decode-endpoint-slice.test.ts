import fc from 'fast-check';
import type { ClusterWarning, EndpointSlice } from '../../../src/model/cluster';
import { decodeEndpointSlice } from '../../../src/sources/kubernetes/decode-endpoint-slice';
import { makeEndpoint } from '../../support/cluster-objects';

interface Decoded {
  readonly slice: EndpointSlice | undefined;
  readonly warnings: readonly ClusterWarning[];
}

const labels = { 'kubernetes.io/service-name': 'web' };

/** `default/web-abcde` of the Service web, with these fields. */
function decode(fields: object, metadata: object = {}): Decoded {
  const warnings: ClusterWarning[] = [];
  const object = {
    metadata: { name: 'web-abcde', namespace: 'default', labels, ...metadata },
    addressType: 'IPv4',
    ports: [{ name: '', port: 8080, protocol: 'TCP' }],
    endpoints: [],
    ...fields,
  };
  return { slice: decodeEndpointSlice(object, (warning) => warnings.push(warning)), warnings };
}

const kinds = ({ warnings }: Decoded): string[] => warnings.map(({ kind }) => kind);

test('a slice', () => {
  const annotations = { 'endpoints.kubernetes.io/last-change-trigger-time': '2024-05-01T10:00:00.123456789Z' };
  const endpoints = [
    {
      addresses: ['10.244.1.2', '10.244.1.9'],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: 'node',
      zone: 'z1',
      hints: { forZones: [{ name: 'z1' }, { name: 'z2' }], forNodes: [{ name: 'node' }] },
      targetRef: { kind: 'Pod', name: 'web-1', namespace: 'default' },
    },
  ];
  expect(decode({ endpoints }, { annotations })).toEqual({
    slice: {
      kind: 'EndpointSlice',
      source: 'EndpointSlice',
      namespace: 'default',
      name: 'web-abcde',
      serviceName: 'web',
      family: 'IPv4',
      ports: [{ name: '', protocol: 'TCP', port: 8080 }],
      endpoints: [
        makeEndpoint('10.244.1.2', {
          nodeName: 'node',
          zone: 'z1',
          zoneHints: ['z1', 'z2'],
          nodeHints: ['node'],
          target: 'Pod/web-1',
        }),
      ],
      lastChangeTriggerMs: Date.UTC(2024, 4, 1, 10, 0, 0, 123),
    },
    warnings: [],
  });
});

test.each([
  [undefined, [true, true, false]],
  [{}, [true, true, false]],
  [{ ready: null, serving: null, terminating: null }, [true, true, false]],
  [{ ready: false }, [false, true, false]],
  [{ ready: false, terminating: true }, [false, true, true]],
  [{ ready: false, serving: false, terminating: true }, [false, false, true]],
])('conditions of %j', (conditions, expected) => {
  const [endpoint] = decode({ endpoints: [{ addresses: ['10.0.0.1'], conditions }] }).slice?.endpoints ?? [];
  expect([endpoint?.ready, endpoint?.serving, endpoint?.terminating]).toEqual(expected);
});

test('endpoints without an address are none, those with a bad one are warned about', () => {
  const endpoints = [
    { addresses: [] },
    {},
    null,
    { addresses: ['fd00::1'] },
    { addresses: ['x'] },
    { addresses: ['010.0.0.1'] },
  ];
  const decoded = decode({ endpoints });
  expect(decoded.slice?.endpoints).toEqual([makeEndpoint('10.0.0.1')]);
  expect(kinds(decoded)).toEqual(['bad-address', 'bad-address']);
});

test.each([
  [{ port: 80 }],
  [{ name: null, port: 80 }],
  [{ name: 'a' }],
  [{ name: 'a', port: null }],
  [{ name: 'a', port: 0 }],
  [{ name: 'a b', port: 80 }],
  [{ name: 'a', port: 80, protocol: 'X' }],
])('the port %j is left out', (port) => {
  const decoded = decode({ ports: [port, { name: 'ok', port: 81 }] });
  expect(decoded.slice?.ports).toEqual([{ name: 'ok', protocol: 'TCP', port: 81 }]);
  expect(kinds(decoded)).toEqual(['bad-port']);
});

test.each([
  ['host names', { addressType: 'FQDN' }, {}, []],
  ['an unknown type', { addressType: 'IPX' }, {}, ['bad-address-type']],
  ['no type', { addressType: undefined }, {}, ['bad-address-type']],
  ['no Service', {}, { labels: {} }, []],
  ['no Service by an empty label', {}, { labels: { 'kubernetes.io/service-name': '' } }, []],
  ['a Service that cannot be', {}, { labels: { 'kubernetes.io/service-name': 'My_Service' } }, []],
  ['no Service by name', {}, { labels: { 'kubernetes.io/service-name': 'a b' } }, ['no-service-name']],
  ['a headless Service', {}, { labels: { ...labels, 'service.kubernetes.io/headless': '' } }, []],
  ['a bad name', {}, { name: 'a/b' }, ['bad-name']],
])('of %s: ignored', (_what, fields, metadata, warnings) => {
  const decoded = decode(fields, metadata);
  expect(decoded.slice).toBeUndefined();
  expect(kinds(decoded)).toEqual(warnings);
});

test('a name may be a subdomain, another proxy is the business of the Service', () => {
  const metadata = { name: 'web.a-1', labels: { ...labels, 'service.kubernetes.io/service-proxy-name': 'x' } };
  expect(decode({}, metadata).slice?.name).toBe('web.a-1');
});

test('texts and lists that many endpoints repeat are shared', () => {
  const [a, b] = [1, 2].map(() => {
    const endpoint = { addresses: ['10.0.0.1'], hints: { forZones: [{ name: 'z1' }] } };
    return decode({ endpoints: [endpoint] }).slice?.endpoints[0];
  });
  expect(a?.zoneHints).toBe(b?.zoneHints);
  expect(a?.nodeHints).toBe(b?.nodeHints);
});

test('a bad trigger time is none', () => {
  const annotations = { 'endpoints.kubernetes.io/last-change-trigger-time': 'yesterday' };
  expect(decode({}, { annotations }).slice).not.toHaveProperty('lastChangeTriggerMs');
});

test('never throws', () => {
  const anything = fc.oneof(fc.jsonValue(), fc.constantFrom('10.0.0.1', 80, 'x'.repeat(100_000)));
  const endpointArb = fc.dictionary(
    fc.constantFrom('addresses', 'conditions', 'nodeName', 'zone', 'hints', 'targetRef'),
    fc.oneof(anything, fc.array(anything)),
  );
  fc.assert(
    fc.property(fc.oneof(anything, fc.array(endpointArb)), anything, anything, (endpoints, ports, annotations) => {
      decode({ endpoints, ports }, { annotations });
      decodeEndpointSlice(endpoints, () => undefined);
    }),
    { numRuns: 500 },
  );
});
