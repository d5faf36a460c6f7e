import { serviceKey } from '../../../src/model/cluster';
import { endpoints, node, service, slice } from './watching';
import { until } from '../../support/until';
import { addressesOf, cart, fake, namesOf, follow, requestsOf, stopAll, synced } from './opened';

afterEach(stopAll);

describe('what is watched', () => {
  it('is all Services with a VIP that are ours, all slices that are not headless, and this node', async () => {
    const server = await fake();
    server.put(service('cart'), slice('cart-1', '10.0.0.1'), node);
    server.put(service('headless', { clusterIP: 'None', clusterIPs: ['None'] }));
    server.put({
      ...service('other'),
      metadata: { name: 'other', namespace: 'shop', labels: { 'service.kubernetes.io/service-proxy-name': 'x' } },
    });
    server.put({ ...node, metadata: { name: 'node-2' } });
    const watching = await synced(server);
    expect(namesOf(watching)).toEqual(['cart']);
    expect(addressesOf(watching)).toEqual(['10.0.0.1']);
    expect([...watching.store.nodes.keys()]).toEqual(['node-1']);
    expect(requestsOf(server, 'endpointslices', 'watch')[0]).toMatchObject({
      labelSelector: '!service.kubernetes.io/headless',
      sendInitialEvents: 'true',
      resourceVersionMatch: 'NotOlderThan',
      allowWatchBookmarks: 'true',
    });
    const seconds = Number(requestsOf(server, 'services', 'watch')[0]?.timeoutSeconds);
    expect(seconds).toBeGreaterThanOrEqual(300);
    expect(seconds).toBeLessThanOrEqual(600);
    expect(server.requests.every(({ headers }) => headers['user-agent'] === 'vipwire/test')).toBe(true);
    expect(watching.observed).toContain(`requestDone 200 GET ${new URL(server.url).host}`);
    expect(watching.log).toEqual([]);
  });

  it('follows additions, changes and deletions, a Service given to another proxy being one', async () => {
    const server = await fake();
    const watching = await synced(server);
    server.put(service('cart'), slice('cart-1', '10.0.0.1'));
    await until(() => addressesOf(watching).length === 1 && namesOf(watching).length === 1);
    server.put(slice('cart-1', '10.0.0.1', '10.0.0.2'));
    await until(() => addressesOf(watching).length === 2);
    server.delete('endpointslices', 'shop/cart-1');
    await until(() => addressesOf(watching).length === 0);
    server.put({
      ...service('cart'),
      metadata: { name: 'cart', namespace: 'shop', labels: { 'service.kubernetes.io/service-proxy-name': 'x' } },
    });
    await until(() => namesOf(watching).length === 0);
  });

  it('tells of what came together in one batch', async () => {
    const server = await fake();
    const watching = await synced(server);
    const before = watching.batches.length;
    server.sendRaw(
      'endpointslices',
      Array.from({ length: 20 }, (_, i) => {
        const { metadata, ...rest } = slice(`s-${i}`, `10.0.0.${i}`);
        return `${JSON.stringify({ type: 'ADDED', object: { ...rest, metadata: { ...metadata, resourceVersion: String(5000 + i) } } })}\n`;
      }).join(''),
    );
    await until(() => addressesOf(watching).length === 20);
    expect(watching.batches.length - before).toBe(1);
  });
});

describe('synced', () => {
  it('does not come before Services and slices have both been listed', async () => {
    const server = await fake();
    server.failNext({ resource: 'endpointslices', times: 5 }, { kind: 'status', status: 500 });
    server.put(service('cart'), slice('cart-1', '10.0.0.1'));
    const watching = follow(server);
    await until(() => namesOf(watching).length === 1);
    expect(watching.isSynced()).toBe(false);
    await until(() => watching.isSynced());
    expect(addressesOf(watching)).toEqual(['10.0.0.1']);
  });

  it('waits for this node no longer than it should', async () => {
    const server = await fake();
    server.failNext({ resource: 'nodes', times: 1000 }, { kind: 'status', status: 403, message: 'forbidden' });
    const startMs = performance.now();
    const watching = follow(server);
    await until(() => watching.isSynced());
    expect(performance.now() - startMs).toBeGreaterThan(280);
    expect(watching.log.map(({ message }) => message)).toEqual(['API server refuses the request']);
  });

  it('comes with a node that does not exist yet', async () => {
    const server = await fake();
    const watching = await synced(server, { nodeWaitMs: 60_000 });
    server.put(node);
    await until(() => watching.store.nodes.size === 1);
  });
});

describe('older API servers', () => {
  it.each(['refuseWatchList', 'ignoreWatchList'] as const)(
    'are listed in pages and watched from there (%s)',
    async (fault) => {
      const server = await fake();
      server.faults[fault] = true;
      server.put(...Array.from({ length: 25 }, (_, i) => slice(`cart-${i}`, `10.0.0.${i}`)));
      const watching = await synced(server, { pageSize: 10 });
      expect(addressesOf(watching)).toHaveLength(25);
      const lists = requestsOf(server, 'endpointslices', 'list');
      expect(lists).toHaveLength(3);
      expect(lists[0]).toMatchObject({ limit: '10', resourceVersion: '0' });
      expect(lists[1]).toHaveProperty('continue');
      server.put(slice('cart-26', '10.0.1.1'));
      await until(() => addressesOf(watching).length === 26);
      expect(watching.observed).toContain('relisted endpointslices start');
    },
  );

  it('may send a whole list where a page was asked for', async () => {
    const server = await fake();
    Object.assign(server.faults, { refuseWatchList: true, ignoreLimit: true });
    server.put(...Array.from({ length: 25 }, (_, i) => slice(`cart-${i}`, `10.0.0.${i}`)));
    expect(addressesOf(await synced(server, { pageSize: 10 }))).toHaveLength(25);
  });

  it('serve Endpoints where they have no EndpointSlices', async () => {
    const server = await fake();
    server.faults.lackDiscovery = true;
    server.put(service('cart'), endpoints('cart', ['10.0.0.1'], ['10.0.0.2']), slice('cart-1', '10.9.9.9'));
    const watching = await synced(server);
    expect(addressesOf(watching)).toEqual(['10.0.0.1', '10.0.0.2']);
    server.put(endpoints('cart', ['10.0.0.3']));
    await until(() => addressesOf(watching).join() === '10.0.0.3');
    server.delete('endpoints', 'shop/cart');
    await until(() => addressesOf(watching).length === 0);
  });

  it('may not know the field that Services are selected by', async () => {
    const server = await fake();
    server.faults.refuseFieldSelectors = true;
    server.put(service('cart'), service('headless', { clusterIP: 'None', clusterIPs: ['None'] }));
    const watching = await synced(server);
    expect(watching.store.services.get(cart)?.notProxied).toBeUndefined();
    expect(watching.store.services.get(serviceKey('shop', 'headless'))?.notProxied).toBe('headless');
    expect(watching.log).toEqual([]);
  });
});
