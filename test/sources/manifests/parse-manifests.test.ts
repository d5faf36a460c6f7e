import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import type { ClusterChange } from '../../../src/model/cluster';
import { ClusterStore } from '../../../src/model/cluster-store';
import { planNodeSettings } from '../../../src/planner/node-settings';
import { planCluster } from '../../../src/planner/plan-cluster';
import { labConfiguration } from '../../conformance/planned-cluster';
import { parseManifests } from '../../../src/sources/manifests/parse-manifests';

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

const said = (text: string): string[] => parse(text).warnings.map(({ object, message }) => `${object}: ${message}`);

describe('a file that yields nothing says why', () => {
  test.each([
    ['', 'it is empty'],
    [' \n', 'it is empty'],
    ['---\n', 'it has no objects, only comments or markers'],
    ['# nothing\n---\nnull\n', 'it has no objects, only comments or markers'],
    ['7', 'line 1: 7, where kubectl takes an object or a kind: List'],
    ['text', 'line 1: "text", where kubectl takes an object or a kind: List'],
    ['[]', 'line 1: a list, where kubectl takes an object or a kind: List'],
    ['# values\nreplicas: 3\n', 'line 2: an object without a kind'],
    ['items: 7\nkind: List', 'line 1: items of a List: want a list, got 7'],
    ['kind: List\nitems: []', 'line 1: a List without items'],
    ['{"kind": "ServiceList", "items": null}', 'line 1: a ServiceList without items'],
    [
      'kind: Deployment\n---\nkind: Deployment\n---\nkind: ConfigMap\n',
      '2 of kind Deployment, 1 of kind ConfigMap, but only Services, EndpointSlices, Endpoints, Nodes and ServiceCIDRs are read',
    ],
    [
      'kind: Service\napiVersion: serving.knative.dev/v1\n',
      '1 of kind Service of serving.knative.dev/v1, but only Services, EndpointSlices, Endpoints, Nodes and ServiceCIDRs are read',
    ],
    ['kind: List\nitems: [7]\n', 'line 1, items[0]: 7, where kubectl takes an object or a kind: List'],
  ])('%j', (text, why) => {
    expect(parse(text)).toMatchObject({ objects: [], errors: [] });
    expect(said(text)).toEqual([`shop.yaml: nothing to read: ${why}`]);
  });
});

test('what is left out beside objects is said too', () => {
  expect(said(`${service}---\n- 1\n`)).toEqual([
    'shop.yaml: line 8: a list, where kubectl takes an object or a kind: List: left out',
  ]);
});

test('JSON documents back to back are read', () => {
  const json = (name: string): string => JSON.stringify(item('Service', name));
  expect(ids(`${json('a')}${json('b')}\n${json('c')}`)).toEqual([
    'Service default/a',
    'Service default/b',
    'Service default/c',
  ]);
});

test('Lists nested without end are one line, and the rest goes on', () => {
  const nest = (n: number): string =>
    `${'{"kind":"List","items":['.repeat(n)}${JSON.stringify(item('Service', 'deep'))}${']}'.repeat(n)}`;
  expect(ids(nest(100))).toEqual(['Service default/deep']);
  for (const deep of [nest(3000), nest(30_000)]) {
    expect(parse(deep)).toMatchObject({ objects: [], errors: [] });
    expect(said(deep)).toEqual(['shop.yaml: 1:1: nested more than 300 deep: not read']);
    expect(ids(`${service}---\n${deep}\n`)).toEqual(['Service default/web']);
  }
});

describe('a value of the wrong type is a warning with its path, and costs what it must', () => {
  test('a port', () => {
    const text = service.replace('[{port: 80}]', '[{name: a, port: 80a}, {name: b, port: 81}]');
    expect(said(text)).toEqual([
      'Service default/web: spec.ports[0].port: want a number, got "80a" (shop.yaml)',
      'Service default/web: port "a" "80a" is unusable: left out (shop.yaml)',
    ]);
    expect(objectsOf(parse(text).objects[0]?.sets ?? [])).toMatchObject([{ ports: [{ name: 'b', port: 81 }] }]);
  });

  test.each(['{ready: "no"}', '{ready: 1}', '"no"', '[no]'])('conditions: %s brings no traffic', (conditions) => {
    const text = slice.replace('addresses: [10.244.1.2]', `addresses: [10.244.1.2], conditions: ${conditions}`);
    expect(said(text)).toEqual([
      expect.stringMatching(/^EndpointSlice shop\/web-1: endpoints\[0\]\.conditions.*: want /),
    ]);
    expect(objectsOf(parse(text).objects[0]?.sets ?? [])).toMatchObject([{ endpoints: [{ ready: false }] }]);
  });

  test.each(['10.0.0.0/8', '[7]', '{a: 1}'])('loadBalancerSourceRanges: %s lets nobody in', (ranges) => {
    const text = service.replace('ports:', `loadBalancerSourceRanges: ${ranges}\n  ports:`);
    expect(said(text)[0]).toMatch(/spec\.loadBalancerSourceRanges.*: want /);
    expect(objectsOf(parse(text).objects[0]?.sets ?? [])).toMatchObject([
      { sourceRanges: ['255.255.255.255/32', '::/128'] },
    ]);
  });

  test.each([
    ['metadata: {name: 7}', 'Service default/7: metadata.name: want text, got 7 (shop.yaml)'],
    ['metadata: {name: "a\\nb"}', 'Service "default"/"a\\nb": has no usable name and namespace: ignored (shop.yaml)'],
    ['metadata: [7]', 'Service default/nothing: metadata: want fields, got a list (shop.yaml)'],
  ])('%s', (metadata, warning) => {
    expect(parse(service.replace('metadata: {name: web}', metadata)).objects).toEqual([]);
    expect(said(service.replace('metadata: {name: web}', metadata))).toContain(warning);
  });
});

describe('files that people reported', () => {
  const read = (name: string): string => readFileSync(join(__dirname, '..', 'reported', name), 'utf8');
  const endpointsOf = (name: string): string[] => {
    const store = new ClusterStore(0);
    for (const { sets } of parse(read(name)).objects) store.apply(sets);
    const config = { ...labConfiguration({}), hostname: 'node' };
    const { services } = planCluster(store, 'IPv4', planNodeSettings(config, undefined, []).settings);
    return [...services.values()].flatMap(({ ports }) =>
      ports.flatMap((port) => port.clusterEndpoints.map(({ address }) => address)),
    );
  };

  test('a slice whose name has 75 characters serves', () => {
    expect(said(read('long-slice-name.yaml'))).toEqual([]);
    expect(endpointsOf('long-slice-name.yaml')).toEqual(['10.244.1.2']);
  });

  test('ready: no gets nothing', () => {
    expect(said(read('ready-no.yaml'))).toEqual([]);
    expect(endpointsOf('ready-no.yaml')).toEqual(['10.244.1.2']);
  });

  test('a JSON array yields nothing, and says why', () => {
    expect(said(read('array.json'))).toEqual([
      'shop.yaml: nothing to read: line 1: a list, where kubectl takes an object or a kind: List',
    ]);
  });

  test('Services that were not applied yet are left out, and it says so', () => {
    expect(said(read('ingress-nginx.yaml'))).toEqual([
      'shop.yaml: 2 Services have no cluster IP (ingress-nginx/ingress-nginx-controller, ingress-nginx/ingress-nginx-controller-admission): use the output of `kubectl get`, which has it',
    ]);
  });
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
