/** "There is nothing" is only what a list says. Each answer that is none, at each place where one is awaited. */
import { serviceKey } from '../../../src/model/cluster';
import type { FakeFailure } from '../../support/fake-api-faults';
import type { FakeApiServer } from '../../support/fake-api-server';
import type { FakeResource } from '../../support/fake-api-store';
import { addressesOf, fake, follow, stopAll, synced } from './opened';
import { node, service, slice } from './watching';
import { until } from '../../support/until';

afterEach(stopAll);

async function fakeWithCart(refuseWatchList: boolean): Promise<FakeApiServer> {
  const server = await fake();
  server.faults.refuseWatchList = refuseWatchList;
  server.put(service('cart'), slice('cart-1', '10.0.0.1'), node);
  return server;
}

const text = (value: unknown): FakeFailure => ({
  kind: 'text',
  text: typeof value === 'string' ? value : JSON.stringify(value),
});
const status = { kind: 'Status', apiVersion: 'v1', status: 'Failure', message: 'etcd is busy', code: 500 };
const metadata = { resourceVersion: '2000' };
const kinds: Readonly<Record<FakeResource, string>> = {
  services: 'ServiceList',
  endpointslices: 'EndpointSliceList',
  nodes: 'NodeList',
  endpoints: 'EndpointsList',
  servicecidrs: 'ServiceCIDRList',
};

/** What is answered with 200 instead of a list of this kind. */
function noLists(kind: string): Readonly<Record<string, FakeFailure>> {
  return {
    '{}': text({}),
    'a Status': text(status),
    'a Status of success': text({ ...status, status: 'Success', code: 200 }),
    null: text('null'),
    'an array': text([]),
    'an array of an object': text([{}]),
    'a text': text('"nothing"'),
    'a number': text('0'),
    nothing: text(''),
    'white space': text(' \n'),
    'another kind': text({ kind: 'PodList', apiVersion: 'v1', metadata, items: [] }),
    'another kind with items': text({
      kind: 'PodList',
      apiVersion: 'v1',
      metadata,
      items: [{ metadata: { name: 'x', namespace: 'shop' } }],
    }),
    'a kind that comes last': text({ items: [], metadata, kind: 'PodList' }),
    'no kind': text({ metadata, items: [] }),
    'no items': text({ kind, metadata }),
    'items that are an object': text({ kind, metadata, items: {} }),
    'items that are a text': text({ kind, metadata, items: 'none' }),
    'items that are numbers': text({ kind, metadata, items: [1, 2] }),
    'an item that is null': text({ kind, metadata, items: [null] }),
    'an item of another kind': text({
      kind,
      metadata,
      items: [{ kind: 'Pod', metadata: { name: 'x', namespace: 'shop' } }],
    }),
    'a list that is cut short': text(
      `{"kind":"${kind}","apiVersion":"v1","metadata":{"resourceVersion":"2000"},"items":[`,
    ),
    'a connection that is cut': { kind: 'cut', afterBytes: 80 },
    'two lists': text(`{"kind":"${kind}","metadata":{},"items":[]}{"kind":"${kind}","metadata":{},"items":[]}`),
    HTML: text('<html><body>Log in</body></html>'),
    'a table': text({ kind: 'Table', apiVersion: 'meta.k8s.io/v1', rows: [] }),
  };
}

describe.each(['services', 'endpointslices', 'nodes'] as const)('a list of %s', (resource) => {
  it.each(Object.keys(noLists('')))('is not what it is answered with: %s', async (name) => {
    const server = await fakeWithCart(true);
    const watching = await synced(server);
    const failure = noLists(kinds[resource])[name] as FakeFailure;
    server.failNext({ resource, verb: 'list', times: 2 }, failure);
    server.sendError(410, 'Expired', resource);
    await until(() => watching.observed.includes(`relisted ${resource} expired`));
    expect(
      server.requests.filter((request) => request.resource === resource && request.verb === 'list').length,
    ).toBeGreaterThanOrEqual(3);
    const deletions = watching.batches.flat().filter((change) => change.op === 'delete');
    expect(deletions.filter(({ name: gone }) => gone !== 'x')).toEqual([]);
    expect(watching.store.services.size).toBe(1);
    expect(addressesOf(watching)).toEqual(['10.0.0.1']);
    expect(watching.store.nodes.size).toBe(1);
    const warnings = watching.log.filter(({ level, fields }) => level === 'warn' && fields['resource'] === resource);
    expect(warnings).toHaveLength(1);
  });
});

it.each(Object.keys(noLists('')))('the first list is awaited where this is answered: %s', async (name) => {
  const server = await fakeWithCart(true);
  server.failNext({ resource: 'services', verb: 'list', times: 3 }, noLists('ServiceList')[name] as FakeFailure);
  const watching = follow(server);
  await until(() => watching.log.some(({ level }) => level === 'warn'));
  expect(watching.isSynced()).toBe(false);
  await until(() => watching.isSynced());
  expect(watching.store.services.size).toBe(1);
});

it.each([
  ['an empty list', { kind: 'EndpointSliceList', apiVersion: 'discovery.k8s.io/v1', metadata, items: [] }],
  ["Go's empty list", { kind: 'EndpointSliceList', apiVersion: 'discovery.k8s.io/v1', metadata, items: null }],
  ['an empty list whose kind comes last', { items: [], metadata, kind: 'EndpointSliceList' }],
])('%s is one', async (_name, list) => {
  const server = await fakeWithCart(true);
  const watching = await synced(server);
  server.failNext({ resource: 'endpointslices', verb: 'list' }, text(list));
  server.sendError(410, 'Expired', 'endpointslices');
  await until(() => addressesOf(watching).length === 0);
});

describe('a WatchList', () => {
  const line = (value: unknown): string => `${JSON.stringify(value)}\n`;
  it.each([
    ['{}', line({})],
    ['null', 'null\n'],
    ['an array', '[]\n'],
    ['a list', line({ kind: 'ServiceList', metadata, items: [] })],
    ['a Status', line(status)],
    ['no line at all', ''],
    ['HTML', '<html>\n'],
    [
      'an end without a bookmark',
      line({
        type: 'ADDED',
        object: { kind: 'Service', metadata: { name: 'y', namespace: 'shop', resourceVersion: '1' } },
      }),
    ],
    [
      'an object of another kind',
      line({ type: 'ADDED', object: { kind: 'Pod', metadata: { name: 'x', namespace: 'shop' } } }),
    ],
    ['an error', line({ type: 'ERROR', object: status })],
    ['an error that is no Status', line({ type: 'ERROR', object: null })],
  ])('that answers with %s names nothing, and is asked for again', async (_name, stream) => {
    const server = await fakeWithCart(false);
    const watching = await synced(server);
    server.failNext({ resource: 'services', times: 2 }, text(stream));
    server.sendError(410, 'Expired', 'services');
    await until(() => watching.observed.includes('relisted services expired'));
    expect(watching.batches.flat().filter((change) => change.op === 'delete' && change.name === 'cart')).toEqual([]);
    expect([...watching.store.services.keys()]).toContain(serviceKey('shop', 'cart'));
  });
});
