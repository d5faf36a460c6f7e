import type { ServiceKey } from '../../../src/model/cluster';
import { serviceKey } from '../../../src/model/cluster';
import type { FakeApiServerOptions } from '../../support/fake-api-server';
import { FakeApiServer } from '../../support/fake-api-server';
import type { FakeResource } from '../../support/fake-api-store';
import type { Watching } from './watching';
import { endpoints, node, service, slice, watch } from './watching';
import { until } from '../../support/until';

const cart = serviceKey('shop', 'cart');
const opened: { stop(): Promise<void> }[] = [];

async function fake(options: FakeApiServerOptions = {}): Promise<FakeApiServer> {
  const server = await FakeApiServer.start(options);
  opened.push(server);
  return server;
}

/** A source that has synced and whose watches are open. */
async function synced(server: FakeApiServer, timing: Parameters<typeof watch>[1] = {}): Promise<Watching> {
  const watching = watch(server, timing);
  opened.unshift(watching.source);
  await until(() => watching.isSynced() && server.watches() === 3);
  return watching;
}

function addressesOf({ store }: Watching, key: ServiceKey = cart): string[] {
  return store.slicesOf(key).flatMap((each) => each.endpoints.map(({ address }) => address));
}

function namesOf({ store }: Watching): string[] {
  return [...store.services.values()].map(({ name }) => name).sort();
}

function requestsOf(
  server: FakeApiServer,
  resource: FakeResource,
  verb: 'list' | 'watch',
): Readonly<Record<string, string>>[] {
  return server.requests
    .filter((request) => request.resource === resource && request.verb === verb)
    .map(({ query }) => query);
}

afterEach(async () => {
  for (const each of opened.splice(0)) await each.stop();
});

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
    const watching = watch(server);
    opened.unshift(watching.source);
    await until(() => namesOf(watching).length === 1);
    expect(watching.isSynced()).toBe(false);
    await until(() => watching.isSynced());
    expect(addressesOf(watching)).toEqual(['10.0.0.1']);
  });

  it('waits for this node no longer than it should', async () => {
    const server = await fake();
    server.failNext({ resource: 'nodes', times: 1000 }, { kind: 'status', status: 403, message: 'forbidden' });
    const startMs = performance.now();
    const watching = watch(server);
    opened.unshift(watching.source);
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

describe('a watch that ends', () => {
  it.each(['cutWatches', 'endWatches'] as const)(
    'is resumed where it was, and nothing is listed again (%s)',
    async (end) => {
      const server = await fake();
      server.put(service('cart'), slice('cart-1', '10.0.0.1'));
      const watching = await synced(server);
      server.put(slice('cart-2', '10.0.0.2'));
      await until(() => addressesOf(watching).length === 2);
      const version = String(server.store.version);
      server[end]();
      await until(() => server.watches() === 3 && requestsOf(server, 'endpointslices', 'watch').length === 2);
      expect(requestsOf(server, 'endpointslices', 'watch')[1]).toMatchObject({ resourceVersion: version });
      expect(requestsOf(server, 'endpointslices', 'watch')[1]).not.toHaveProperty('sendInitialEvents');
      server.delete('endpointslices', 'shop/cart-1');
      await until(() => addressesOf(watching).join() === '10.0.0.2');
      expect(watching.log).toEqual([]);
      expect(watching.observed).toContain(`watchEnded services ${end === 'cutWatches' ? 'broken' : 'ended'}`);
    },
  );

  it('missed nothing of what happened between', async () => {
    const server = await fake();
    server.put(slice('cart-1', '10.0.0.1'));
    const watching = await synced(server);
    server.cutWatches();
    server.put(slice('cart-1', '10.0.0.7'), slice('cart-2', '10.0.0.2'));
    server.delete('endpointslices', 'shop/cart-1');
    await until(() => addressesOf(watching).join() === '10.0.0.2');
  });

  it('at once, again and again, is not hammered', async () => {
    const server = await fake();
    await synced(server, { shortWatchMs: 1000, backoff: { initialMs: 100, maxMs: 100, resetMs: 1000 } });
    const before = server.requests.length;
    for (let i = 0; i < 100; i++) {
      server.endWatches();
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
    expect(server.requests.length - before).toBeLessThan(30);
  });

  it('resumes from the last bookmark', async () => {
    const server = await fake({ bookmarkMs: 20 });
    await synced(server);
    server.put({ ...node, metadata: { name: 'node-9' } });
    const version = String(server.store.version);
    await new Promise((resolve) => setTimeout(resolve, 60));
    server.cutWatches('services');
    await until(() => requestsOf(server, 'services', 'watch').length === 2);
    expect(requestsOf(server, 'services', 'watch')[1]).toMatchObject({ resourceVersion: version });
  });
});

describe('silence', () => {
  it('of a watch beyond its time ends it', async () => {
    const server = await fake();
    const watching = await synced(server, { watchSeconds: 0.5, watchMarginMs: -900 });
    server.freezeWatches();
    server.put(slice('cart-1', '10.0.0.1'));
    await until(() => addressesOf(watching).length === 1);
    expect(watching.observed).toContain('watchEnded endpointslices silent');
  });

  it('where bookmarks used to come ends it sooner', async () => {
    const server = await fake({ bookmarkMs: 20 });
    const watching = await synced(server, { bookmarkSilenceMs: 150 });
    await new Promise((resolve) => setTimeout(resolve, 60));
    server.freezeWatches();
    server.put(slice('cart-1', '10.0.0.1'));
    await until(() => addressesOf(watching).length === 1);
    expect(watching.observed).toContain('watchEnded endpointslices silent');
  });

  it('in the place of an answer is a failure', async () => {
    const server = await fake();
    server.failNext({ resource: 'services' }, { kind: 'silence' });
    server.put(service('cart'));
    const watching = await synced(server);
    expect(namesOf(watching)).toEqual(['cart']);
    expect(watching.log.map(({ message }) => message)).toEqual([
      'API server is away; rules stay as they are',
      'API server is back',
    ]);
  });

  it('after the headers of a WatchList falls back to a list', async () => {
    const server = await fake();
    server.failNext({ resource: 'services' }, { kind: 'silent-body' });
    server.put(service('cart'));
    expect(namesOf(await synced(server))).toEqual(['cart']);
    expect(requestsOf(server, 'services', 'list')).toHaveLength(1);
  });
});

describe('410', () => {
  async function changedBehindItsBack(server: FakeApiServer): Promise<Watching> {
    server.put(slice('cart-1', '10.0.0.1'), slice('cart-2', '10.0.0.2'));
    const watching = await synced(server);
    server.endWatches('endpointslices');
    server.delete('endpointslices', 'shop/cart-1');
    server.put(slice('cart-3', '10.0.0.3'));
    server.store.compact();
    return watching;
  }

  it.each([{ goneAsStatus: true, refuseWatchList: true }, { goneAsStatus: true }, { refuseWatchList: true }, {}])(
    'at a watch: everything is listed anew, and what is gone is deleted (%j)',
    async (faults) => {
      const server = await fake();
      Object.assign(server.faults, faults);
      const watching = await changedBehindItsBack(server);
      await until(() => addressesOf(watching).join() === '10.0.0.2,10.0.0.3');
      const told = watching.batches.flat().filter((change) => change.op === 'set' && change.object.name === 'cart-2');
      expect(told).toHaveLength(1);
      expect(watching.observed).toContain('relisted endpointslices expired');
    },
  );

  it('inside a stream', async () => {
    const server = await fake();
    server.put(service('cart'));
    const watching = await synced(server);
    server.sendError(410, 'Expired', 'services');
    await until(() => watching.observed.includes('relisted services expired'));
    server.delete('services', 'shop/cart');
    await until(() => namesOf(watching).length === 0);
    expect(watching.log).toEqual([]);
  });

  it('at a list asks for the latest state', async () => {
    const server = await fake();
    server.faults.refuseWatchList = true;
    server.put(service('cart'));
    server.failNext({ resource: 'services', verb: 'list' }, { kind: 'status', status: 410, reason: 'Expired' });
    await synced(server);
    expect(requestsOf(server, 'services', 'list').map(({ resourceVersion }) => resourceVersion)).toEqual([
      '0',
      undefined,
    ]);
  });

  it('of a continue token asks for everything at once', async () => {
    const server = await fake();
    server.faults.refuseWatchList = true;
    server.put(...Array.from({ length: 25 }, (_, i) => slice(`cart-${i}`, `10.0.0.${i}`)));
    server.failNext({ verb: 'list', continued: true }, { kind: 'status', status: 410, reason: 'Expired' });
    const watching = await synced(server, { pageSize: 10 });
    expect(addressesOf(watching)).toHaveLength(25);
    expect(requestsOf(server, 'endpointslices', 'list').map(({ limit }) => limit)).toEqual(['10', '10', undefined]);
  });

  it('that never ends is not hammered', async () => {
    const server = await fake();
    const timing = { shortWatchMs: 1000, backoff: { initialMs: 100, maxMs: 100, resetMs: 1000 } };
    server.put(service('cart'));
    await synced(server, timing);
    const before = server.requests.length;
    for (let i = 0; i < 60; i++) {
      server.sendError(410, 'Expired', 'services');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(server.requests.length - before).toBeLessThan(15);
  });
});

describe('an API server in trouble', () => {
  it('is asked again after what Retry-After says', async () => {
    const server = await fake();
    server.failNext({ resource: 'services' }, { kind: 'status', status: 429, retryAfterSeconds: 1 });
    const startMs = performance.now();
    const watching = await synced(server);
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(990);
    expect(watching.log.map(({ level }) => level)).toEqual(['warn', 'info']);
  });

  it.each([
    { kind: 'status', status: 500 },
    { kind: 'status', status: 503 },
    { kind: 'reset' },
    { kind: 'cut', afterBytes: 100 },
  ] as const)('is asked again: %j', async (failure) => {
    const server = await fake();
    server.put(service('cart'), slice('cart-1', '10.0.0.1'));
    server.failNext({ times: 6 }, failure);
    const watching = await synced(server);
    expect(namesOf(watching)).toEqual(['cart']);
    expect(watching.log.map(({ level }) => level)).toEqual(['warn', 'info']);
  });

  it('goes away and comes back: one line each, and nothing is deleted or listed again', async () => {
    const server = await fake();
    server.put(service('cart'), slice('cart-1', '10.0.0.1'));
    const watching = await synced(server);
    const told = watching.batches.length;
    await server.goAway();
    await until(() => watching.observed.filter((line) => line.startsWith('requestDone <error>')).length > 8);
    expect(watching.batches).toHaveLength(told);
    await server.comeBack();
    await until(() => server.watches() === 3);
    server.put(slice('cart-1', '10.0.0.2'));
    await until(() => addressesOf(watching).join() === '10.0.0.2');
    expect(watching.log.map(({ level, message }) => `${level} ${message}`)).toEqual([
      'warn API server is away; rules stay as they are',
      'info API server is back',
    ]);
    expect(watching.observed.filter((line) => line.startsWith('relisted'))).toHaveLength(3);
  });

  it('wakes all watches when one finds it back', async () => {
    const server = await fake();
    const watching = await synced(server, { backoff: { initialMs: 150, maxMs: 2000, resetMs: 60_000 } });
    await server.goAway();
    await until(() => watching.observed.filter((line) => line.startsWith('requestDone <error>')).length >= 6);
    await server.comeBack();
    const first = await until(() => server.watches() > 0).then(() => performance.now());
    await until(() => server.watches() === 3);
    expect(performance.now() - first).toBeLessThan(100);
  });
});

describe('what is wrong in a stream', () => {
  it('is told, where one object is malformed, and the rest goes on', async () => {
    const server = await fake();
    const watching = await synced(server);
    server.sendRaw('services', '{"type":"ADDED","object":{"kind":"Service","metadata":{"resourceVersion":"5000"}}}\n');
    server.put(slice('cart-1', '10.0.0.1', 'not-an-address'), service('cart', { ports: 'none' }), service('till'));
    await until(() => addressesOf(watching).length === 1 && namesOf(watching).includes('till'));
    expect(watching.warnings.map(({ object }) => object)).toEqual(
      expect.arrayContaining(['Service ?/?', 'EndpointSlice shop/cart-1']),
    );
    expect(server.requests).toHaveLength(3);
  });

  it('takes away an object that became unusable', async () => {
    const server = await fake();
    server.put(slice('cart-1', '10.0.0.1'));
    const watching = await synced(server);
    server.put({ ...slice('cart-1', '10.0.0.1'), addressType: 'IPX' });
    await until(() => addressesOf(watching).length === 0);
    expect(watching.warnings).toEqual([expect.objectContaining({ object: 'EndpointSlice shop/cart-1' })]);
  });

  it('ends it where a line is no JSON, and it is resumed', async () => {
    const server = await fake();
    const watching = await synced(server);
    server.sendRaw('services', 'Internal Server Error\n');
    await until(() => requestsOf(server, 'services', 'watch').length === 2 && server.watches() === 3);
    server.put(service('cart'));
    await until(() => namesOf(watching).length === 1);
  });

  it('does no harm where events come twice, late, or in another order', async () => {
    const server = await fake();
    const watching = await synced(server);
    const line = (type: string, version: number, address: string): string => {
      const { metadata, ...rest } = slice('cart-1', address);
      return `${JSON.stringify({ type, object: { ...rest, metadata: { ...metadata, resourceVersion: String(version) } } })}\n`;
    };
    server.sendRaw('endpointslices', line('ADDED', 5001, '10.0.0.1') + line('MODIFIED', 5003, '10.0.0.3'));
    server.sendRaw('endpointslices', line('MODIFIED', 5002, '10.0.0.2') + line('MODIFIED', 5003, '10.0.0.3'));
    server.put(service('mark-1'));
    await until(() => namesOf(watching).includes('mark-1') && addressesOf(watching).length > 0);
    expect(addressesOf(watching)).toEqual(['10.0.0.3']);
    expect(
      watching.batches.flat().filter((change) => change.op === 'set' && change.object.kind === 'EndpointSlice'),
    ).toHaveLength(2);
    server.sendRaw(
      'endpointslices',
      line('DELETED', 5005, '10.0.0.3') + line('MODIFIED', 5004, '10.0.0.4') + line('ADDED', 5006, '10.0.0.6'),
    );
    await until(() => addressesOf(watching).join() === '10.0.0.6');
  });

  it('is nothing where it is slow, cut inside lines and inside characters', async () => {
    const server = await fake();
    server.faults.slow = { bytes: 37, everyMs: 0 };
    server.put(service('cart', { note: 'é漢🛰'.repeat(40) }), slice('cart-1', '10.0.0.1'), node);
    const watching = await synced(server);
    expect(namesOf(watching)).toEqual(['cart']);
    expect(addressesOf(watching)).toEqual(['10.0.0.1']);
  });

  it('is nothing where an object has megabytes', async () => {
    const server = await fake();
    const watching = await synced(server);
    server.put(service('cart', { note: 'x'.repeat(4 << 20) }));
    await until(() => namesOf(watching).length === 1);
  });
});
