import type { FakeApiServer } from '../../support/fake-api-server';
import { node, service, slice, type Watching } from './watching';
import { until } from '../../support/until';
import { addressesOf, fake, namesOf, requestsOf, stopAll, synced } from './opened';

afterEach(stopAll);

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

  it('that comes instead of an answer is a failure', async () => {
    const server = await fake();
    server.failNext({ resource: 'services' }, { kind: 'silence' });
    server.put(service('cart'));
    const watching = await synced(server);
    expect(namesOf(watching)).toEqual(['cart']);
    expect(watching.log.map(({ message }) => message)).toEqual([
      'API server does not answer; rules stay as they are',
      'API server answers again',
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
