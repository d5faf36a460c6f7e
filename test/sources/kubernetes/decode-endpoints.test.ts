import fc from 'fast-check';
import type { EndpointSlice } from '../../../src/model/cluster';
import { decodeEndpoints } from '../../../src/sources/kubernetes/decode-endpoints';
import { makeEndpoint, makeSlice } from '../../support/cluster-objects';

function decode(
  subsets: unknown,
  metadata: object = {},
): { slices: readonly EndpointSlice[] | undefined; kinds: string[] } {
  const kinds: string[] = [];
  const object = { metadata: { name: 'web', namespace: 'default', ...metadata }, subsets };
  return { slices: decodeEndpoints(object, ({ kind }) => kinds.push(kind)), kinds };
}

test('is a slice a subset and family; addresses that are not ready serve nobody', () => {
  const subsets = [
    {
      addresses: [
        { ip: '10.244.1.2', nodeName: 'node', targetRef: { kind: 'Pod', name: 'web-1' } },
        { ip: 'fd44:1::2' },
      ],
      notReadyAddresses: [{ ip: '10.244.1.3' }],
      ports: [{ port: 8080 }],
    },
    { addresses: [{ ip: '10.244.2.2' }], ports: [{ name: 'dns', port: 53, protocol: 'UDP' }] },
  ];
  const common = { source: 'Endpoints' } as const;
  expect(decode(subsets)).toEqual({
    slices: [
      makeSlice(
        [
          makeEndpoint('10.244.1.2', { nodeName: 'node', target: 'Pod/web-1' }),
          makeEndpoint('10.244.1.3', { ready: false, serving: false }),
        ],
        { ...common, name: 'web/0/IPv4' },
      ),
      makeSlice([makeEndpoint('fd44:1::2')], { ...common, name: 'web/0/IPv6', family: 'IPv6' }),
      makeSlice([makeEndpoint('10.244.2.2')], {
        ...common,
        name: 'web/1/IPv4',
        ports: [{ name: 'dns', protocol: 'UDP', port: 53 }],
      }),
    ],
    kinds: [],
  });
});

test('without subsets there are no slices', () => {
  expect(decode(undefined)).toEqual({ slices: [], kinds: [] });
  expect(decode(null)).toEqual({ slices: [], kinds: [] });
});

test('what is bad is left out', () => {
  const subsets = [7, { addresses: [{ ip: 'x' }, { ip: '10.0.0.1' }, null], ports: [{ port: 0 }, { port: 80 }] }];
  const { slices, kinds } = decode(subsets);
  expect(slices).toMatchObject([{ ports: [{ port: 80 }], endpoints: [{ address: '10.0.0.1' }] }]);
  expect(kinds).toEqual(['bad-port', 'bad-address', 'bad-address']);
});

test('of a headless Service, or without a usable name: ignored', () => {
  expect(decode([], { labels: { 'service.kubernetes.io/headless': '' } })).toEqual({ slices: undefined, kinds: [] });
  expect(decode([], { name: undefined })).toEqual({ slices: undefined, kinds: ['bad-name'] });
});

test('never throws', () => {
  const anything = fc.oneof(fc.jsonValue(), fc.constantFrom('10.0.0.1', 80));
  const subset = fc.dictionary(
    fc.constantFrom('addresses', 'notReadyAddresses', 'ports'),
    fc.oneof(anything, fc.array(anything)),
  );
  fc.assert(
    fc.property(fc.oneof(anything, fc.array(subset)), (subsets) => {
      decode(subsets);
      decodeEndpoints(subsets, () => undefined);
    }),
    { numRuns: 500 },
  );
});
