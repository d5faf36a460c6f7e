import fc from 'fast-check';
import type { ClusterChange } from '../../src/model/cluster';
import { parseManifests } from '../../src/sources/manifests/parse-manifests';

const service = `apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: 10.96.0.10
  ports: [{port: 80}]
`;
const slice = `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.244.1.2]}]
`;
const endpoints = `apiVersion: v1
kind: Endpoints
metadata: {name: web}
subsets: [{addresses: [{ip: 10.244.1.2}, {ip: 'fd44::2'}], ports: [{port: 8080}]}]
`;
const node = `apiVersion: v1
kind: Node
metadata: {name: node}
`;

const parse = (text: string): ReturnType<typeof parseManifests> => parseManifests(text, 'shop.yaml');
const ids = (text: string): string[] => parse(text).objects.map(({ id }) => id);
const objectsOf = (changes: readonly ClusterChange[]): unknown[] =>
  changes.map((change) => (change.op === 'set' ? change.object : change));

test('several documents of several kinds, others ignored', () => {
  const others = 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n';
  const text = `# A shop.\n${service}---\n---\n${others}---\n${slice}...\n---\n${endpoints}---\n${node}`;
  expect(parse(text)).toMatchObject({ warnings: [], errors: [] });
  expect(ids(text)).toEqual(['Service default/web', 'EndpointSlice shop/web-1', 'Endpoints default/web', 'Node node']);
});

test('the API server fills in a namespace, and names of slice ports', () => {
  const [webObject, sliceObject] = parse(`${service}---\n${slice}`).objects;
  expect(objectsOf(webObject?.sets ?? [])).toMatchObject([{ namespace: 'default', name: 'web' }]);
  expect(objectsOf(sliceObject?.sets ?? [])).toMatchObject([
    { namespace: 'shop', serviceName: 'web', ports: [{ name: '', protocol: 'TCP', port: 8080 }] },
  ]);
});

test('deletions name the object', () => {
  expect(parse([service, slice, endpoints, node].join('---\n')).objects.map(({ deletion }) => deletion)).toEqual([
    { op: 'delete', kind: 'Service', namespace: 'default', name: 'web' },
    { op: 'delete', kind: 'EndpointSlice', source: 'EndpointSlice', namespace: 'shop', name: 'web-1' },
    { op: 'delete', kind: 'EndpointSlice', source: 'Endpoints', namespace: 'default', name: 'web' },
    { op: 'delete', kind: 'Node', namespace: '', name: 'node' },
  ]);
});

test('an Endpoints object replaces all of its slices', () => {
  const [object] = parse(endpoints).objects;
  expect(objectsOf(object?.sets ?? [])).toMatchObject([
    object?.deletion,
    { source: 'Endpoints', name: 'web/0/IPv4' },
    { source: 'Endpoints', name: 'web/0/IPv6' },
  ]);
});

const item = (kind: string, name: string, apiVersion?: string): object => ({
  ...(apiVersion === undefined ? {} : { apiVersion }),
  ...(kind === '' ? {} : { kind }),
  metadata: { name, labels: { 'kubernetes.io/service-name': 'web' } },
  addressType: 'IPv4',
});
test.each([
  [
    'List',
    'v1',
    [item('Service', 'a', 'v1'), item('EndpointSlice', 'b', 'discovery.k8s.io/v1'), item('Pod', 'c', 'v1')],
  ],
  ['List', 'v1', [item('Service', 'a'), item('EndpointSlice', 'b')]],
])('a %s of mixed kinds', (kind, apiVersion, items) => {
  expect(ids(JSON.stringify({ kind, apiVersion, items }))).toEqual(['Service default/a', 'EndpointSlice default/b']);
});

test.each([
  ['ServiceList', 'v1', 'Service default/a'],
  ['EndpointSliceList', 'discovery.k8s.io/v1', 'EndpointSlice default/a'],
  ['EndpointsList', 'v1', 'Endpoints default/a'],
  ['NodeList', 'v1', 'Node a'],
])('items of a %s need not say what they are', (kind, apiVersion, id) => {
  expect(ids(JSON.stringify({ kind, apiVersion, items: [item('', 'a')] }))).toEqual([id]);
});

test('a kind of another group is another kind', () => {
  expect(ids(service.replace('v1', 'serving.knative.dev/v1'))).toEqual([]);
  expect(ids(slice.replace('discovery.k8s.io/v1', 'v1'))).toEqual([]);
  expect(ids(slice.replace('discovery.k8s.io/v1', 'discovery.k8s.io/v1beta1'))).toHaveLength(1);
});

test.each([
  ['not closed', `${service}---\nkind: [\n`, /^shop\.yaml:\d+:\d+: /],
  ['a tab', 'kind: Service\nmetadata:\n\tname: web\n', /^shop\.yaml:3:1: /],
  ['a key twice', 'kind: Service\nkind: Service\n', /^shop\.yaml:2:1: /],
  ['JSON with a comma too many', '{"kind": "Service",\n"spec": {},,}', /^shop\.yaml:2:12: /],
  [
    'a bomb of aliases',
    `a: &a [x, x, x, x, x, x, x, x, x]\n${'bcdefghi'
      .split('')
      .map((name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcdefgh'[i]}`).join(', ')}]\n`)
      .join('')}`,
    /^shop\.yaml:1:1: /,
  ],
])('a text that does not parse (%s) has no objects, and says where', (_what, text, message) => {
  const { objects, errors } = parse(text);
  expect(objects).toEqual([]);
  expect(errors[0]).toMatch(message);
});

test('what is wrong with an object is a warning with the file', () => {
  const { objects, warnings } = parse(service.replace('port: 80', 'port: 0').replace('10.96', '10.960'));
  expect(objects).toHaveLength(1);
  expect(warnings.map(({ object, kind }) => `${object} ${kind}`)).toEqual([
    'Service default/web bad-address',
    'Service default/web bad-port',
  ]);
  expect(warnings[0]?.message).toMatch(/\(shop\.yaml\)$/);
});

test('an alias may make a list an item of itself', () => {
  expect(ids(`&self\nkind: List\nitems:\n- *self\n- ${JSON.stringify(item('Service', 'a'))}\n`)).toEqual([
    'Service default/a',
  ]);
});

test.each(['', '---\n', '# nothing\n', 'null', '7', '[]', 'text', 'items: 7\nkind: List'])('%j is nothing', (text) => {
  expect(parse(text)).toEqual({ objects: [], warnings: [], errors: [] });
});

test('never throws', () => {
  const pieces = fc.constantFrom(
    service,
    slice,
    '---\n',
    '- ',
    '{',
    '}',
    '\t',
    '&a ',
    '*a',
    ': ',
    '\n',
    '"',
    "'",
    '|',
    '%',
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(pieces, fc.string()), { maxLength: 12 }), (texts) => {
      const { objects, errors } = parse(texts.join(''));
      expect(objects.length === 0 || errors.length === 0).toBe(true);
    }),
    { numRuns: 500 },
  );
});
