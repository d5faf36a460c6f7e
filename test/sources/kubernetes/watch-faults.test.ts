/** What befalls a watch, and what comes of it: nothing is missed, nothing is taken away, and it is said. */
import { serviceKey } from '../../../src/model/cluster';
import { statusText } from '../../support/fake-api-body';
import type { FakeFailure } from '../../support/fake-api-faults';
import type { FakeApiServer } from '../../support/fake-api-server';
import { type FakeApiServerOptions } from '../../support/fake-api-server';
import { addressesOf, fake, follow, stopAll, synced } from './opened';
import { node, service, slice, type Watching } from './watching';
import { until } from '../../support/until';

afterEach(stopAll);

async function fakeWithCart(options: FakeApiServerOptions = {}): Promise<FakeApiServer> {
  const server = await fake(options);
  server.put(service('cart'), slice('cart-1', '10.0.0.1'), node);
  return server;
}

const has = ({ store }: Watching, name: string): boolean => store.services.has(serviceKey('shop', name));
const said = ({ log }: Watching): string[] => log.map(({ level, message }) => `${level} ${message}`);
const relists = ({ observed }: Watching, reason: string): number =>
  observed.filter((line) => line === `relisted services ${reason}`).length;
const error = (code: number): FakeFailure => ({
  kind: 'text',
  text: `{"type":"ERROR","object":${statusText(code, 'Some', 'of some kind')}}\n`,
});
const stream = (text: string, isOpen = false): FakeFailure => ({ kind: 'text', text, isOpen });

describe('a watch that fails whenever it is resumed', () => {
  it.each<[string, FakeFailure]>([
    ...[400, 401, 403, 404, 409, 429, 500, 503, 504].map((code): [string, FakeFailure] => [
      `ERROR ${code}`,
      error(code),
    ]),
    ['ERROR without a Status', stream('{"type":"ERROR","object":null}\n')],
    ['a line that is no JSON, and then nothing', stream('Internal Server Error\n', true)],
    ['a line that is cut', stream('{"type":"ADDED","object":{"kind":"Serv\n', true)],
    ['an empty object', stream('{}\n', true)],
    ['null', stream('null\n', true)],
    ['a list', stream('{"kind":"ServiceList","items":[]}\n', true)],
    ['an event of no known type', stream('{"type":"RENAMED","object":{}}\n', true)],
    [
      'an object of another kind',
      stream('{"type":"ADDED","object":{"kind":"Pod","metadata":{"name":"p","namespace":"shop"}}}\n', true),
    ],
    ['an end at once', stream('')],
    ...[400, 403, 404, 500, 502, 503].map((status): [string, FakeFailure] => [
      `HTTP ${status}`,
      { kind: 'status', status },
    ]),
    ['no answer', { kind: 'silence' }],
  ])('is listed anew, and what happened is in force: %s', async (_name, failure) => {
    const server = await fakeWithCart();
    const watching = await synced(server, { shortWatchMs: 1000, responseTimeoutMs: 100 });
    server.failNext({ resource: 'services', resumed: true, times: 1000 }, failure);
    server.cutWatches('services');
    server.put(service('till'));
    await until(() => relists(watching, 'failing') > 0);
    await until(() => has(watching, 'till'));
    const resumed = server.requests.filter(
      ({ resource, verb, query }) =>
        resource === 'services' && verb === 'watch' && query['sendInitialEvents'] === undefined,
    );
    expect(resumed.length).toBeGreaterThanOrEqual(2);
    expect(watching.batches.flat().filter(({ op }) => op === 'delete')).toEqual([]);
    expect(said(watching).some((line) => line.startsWith('warn '))).toBe(true);
  });

  it('is listed anew after the second time, and not before', async () => {
    const server = await fakeWithCart();
    const watching = await synced(server);
    server.failNext({ resource: 'services', resumed: true, times: 1 }, error(500));
    server.cutWatches('services');
    server.put(service('till'));
    await until(() => has(watching, 'till'));
    expect(relists(watching, 'failing')).toBe(0);
    server.failNext({ resource: 'services', resumed: true, times: 2 }, error(500));
    server.cutWatches('services');
    await until(() => relists(watching, 'failing') === 1);
  });

  it('is not said each time', async () => {
    const server = await fakeWithCart();
    const watching = await synced(server);
    server.failNext({ resource: 'services', verb: 'watch', resumed: true, times: 1000 }, error(500));
    server.sendError(500, 'InternalError', 'services');
    await until(() => relists(watching, 'failing') >= 1);
    server.sendError(500, 'InternalError', 'services');
    for (let count = 1; count < 8; count++) {
      await until(() => server.watches('services') === 1);
      server.sendError(500, 'InternalError', 'services');
      await until(() => relists(watching, 'failing') > count);
    }
    expect(said(watching).filter((line) => line.startsWith('warn')).length).toBeLessThanOrEqual(2);
    expect(watching.log.length).toBeLessThanOrEqual(4);
  });

  it('is waited for where the server has too much to do', async () => {
    const server = await fakeWithCart();
    const watching = await synced(server);
    server.failNext({ resource: 'services', resumed: true, times: 8 }, { kind: 'status', status: 429 });
    server.cutWatches('services');
    server.put(service('till'));
    await until(() => has(watching, 'till'));
    expect(relists(watching, 'failing')).toBe(0);
  });
});

describe('silence', () => {
  const timing = { bookmarkSilenceMs: 150, relistSpreadMs: 40 };

  it('after bookmarks, and again when the watch was resumed, leads to a list', async () => {
    const server = await fakeWithCart({ bookmarkMs: 20 });
    const watching = await synced(server, timing);
    await new Promise((resolve) => setTimeout(resolve, 60));
    server.failNext({ resource: 'services', resumed: true }, { kind: 'silent-body' });
    server.freezeWatches('services');
    server.put(service('till'));
    await until(() => has(watching, 'till'));
    expect(relists(watching, 'silent')).toBe(1);
    expect(watching.observed.filter((line) => line === 'watchEnded services silent')).toHaveLength(2);
    expect(said(watching)).toEqual([expect.stringMatching(/^warn .*silent.*listing anew/)]);
  });

  it('once only is resumed', async () => {
    const server = await fakeWithCart({ bookmarkMs: 20 });
    const watching = await synced(server, timing);
    await new Promise((resolve) => setTimeout(resolve, 60));
    server.freezeWatches('services');
    server.put(service('till'));
    await until(() => has(watching, 'till'));
    expect(relists(watching, 'silent')).toBe(0);
    expect(watching.log).toEqual([]);
  });
});

describe('versions that go back, as from a backup of etcd', () => {
  it.each([true, false])(
    'are noticed at a bookmark, and everything is told anew (list in pages: %s)',
    async (refuseWatchList) => {
      const server = await fakeWithCart();
      server.faults.refuseWatchList = refuseWatchList;
      server.put(slice('cart-2', '10.0.0.2'));
      const watching = await synced(server);
      server.put(service('last'));
      await until(() => has(watching, 'last'));
      const { version } = server.store;
      // The same versions as before, of other states.
      server.freezeWatches();
      server.store.goBack(1001);
      server.put(slice('cart-1', '10.0.0.7'));
      server.delete('endpointslices', 'shop/cart-2');
      expect(server.store.version).toBeLessThan(version);
      server.cutWatches('endpointslices');
      await until(() => server.watches('endpointslices') === 1);
      server.bookmark('endpointslices');
      await until(() => addressesOf(watching).join() === '10.0.0.7');
      server.put(slice('cart-2', '10.0.0.8'));
      await until(() => addressesOf(watching).join() === '10.0.0.7,10.0.0.8');
    },
  );

  it('bring back what was deleted at a later version', async () => {
    const server = await fakeWithCart();
    const watching = await synced(server);
    server.store.version = 9000;
    server.delete('services', 'shop/cart');
    await until(() => !has(watching, 'cart'));
    server.freezeWatches();
    server.store.goBack(2000);
    server.cutWatches('services');
    await until(() => server.watches('services') === 1);
    server.bookmark('services');
    await until(() => watching.observed.includes('relisted services older'));
    await until(() => server.watches('services') === 1);
    server.put(service('cart'));
    await until(() => has(watching, 'cart'));
  });
});

describe('Retry-After', () => {
  it('of days ends when another resource is answered', async () => {
    const server = await fakeWithCart();
    server.failNext({ resource: 'services' }, { kind: 'status', status: 429, retryAfterSeconds: 900_000 });
    const watching = await synced(server);
    expect(has(watching, 'cart')).toBe(true);
  });

  it('of nodes and slices does not hold up Services', async () => {
    const server = await fakeWithCart();
    const watching = await synced(server);
    server.failNext({ resource: 'services' }, { kind: 'status', status: 503, retryAfterSeconds: 60 });
    server.cutWatches('services');
    await until(() => watching.observed.some((line) => line.startsWith('requestDone 503')));
    server.put(service('till'));
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(has(watching, 'till')).toBe(false);
    server.cutWatches('nodes');
    await until(() => has(watching, 'till'));
  });
});

describe('an answer that does not end', () => {
  it.each([true, false])('at a byte in a while is given up and said (list in pages: %s)', async (refuseWatchList) => {
    const server = await fakeWithCart();
    Object.assign(server.faults, { refuseWatchList, slow: { bytes: 1, everyMs: 25 } });
    const watching = follow(server);
    await until(() =>
      watching.log.some(({ fields }) => /^too slow: \d+ bytes in 0.\d s$/.test(String(fields['reason']))),
    );
    expect(said(watching)).toContain('warn API server sends unusable answers; rules stay as they are');
    expect(watching.isSynced()).toBe(false);
    delete server.faults.slow;
    await until(() => watching.isSynced());
    expect(has(watching, 'cart')).toBe(true);
  });

  it('in time is given up though it is fast', async () => {
    const server = await fakeWithCart();
    Object.assign(server.faults, { refuseWatchList: true, slow: { bytes: 20, everyMs: 2 } });
    const watching = follow(server, { listTotalMs: 40, listRate: 1 });
    await until(() => watching.log.some(({ fields }) => String(fields['reason']).startsWith('not complete after')));
    delete server.faults.slow;
    await until(() => watching.isSynced());
  });

  it('is given up where pages go round in a circle', async () => {
    const server = await fakeWithCart();
    server.faults.refuseWatchList = true;
    const page = {
      kind: 'ServiceList',
      apiVersion: 'v1',
      metadata: { resourceVersion: '1', continue: 'x' },
      items: [],
    };
    server.failNext({ resource: 'services', verb: 'list', times: 4 }, { kind: 'text', text: JSON.stringify(page) });
    const watching = await synced(server);
    expect(has(watching, 'cart')).toBe(true);
    expect(watching.log.map(({ fields }) => fields['err'])).toContain('the list has no last page');
  });

  it('as one line of a watch is given up, and the watch goes on after it', async () => {
    const server = await fakeWithCart();
    const watching = await synced(server);
    const megabyte = 'x'.repeat(1 << 20);
    server.sendRaw('services', '{"type":"ADDED","object":"');
    for (let i = 0; i < 40; i++) server.sendRaw('services', megabyte);
    await until(() => watching.observed.includes('watchEnded services broken'));
    server.put(service('till'));
    await until(() => has(watching, 'till'));
    expect(watching.log.map(({ fields }) => fields['reason'])).toEqual(['a line of more than 32 MiB']);
  });
});

describe('a watch that is not current', () => {
  it('is told after its time, and so is its return', async () => {
    const server = await fakeWithCart();
    const watching = await synced(server, { staleMs: 100 });
    await server.goAway();
    await until(() => watching.observed.filter((line) => line.startsWith('watchStale')).length === 3);
    expect(has(watching, 'cart')).toBe(true);
    await server.comeBack();
    await until(() => said(watching).filter((line) => line === 'info the watch is current again').length === 3);
    expect(said(watching).filter((line) => line.startsWith('warn the watch has not been current'))).toHaveLength(3);
  });

  it('is also one that is accepted and fails, again and again', async () => {
    const server = await fakeWithCart();
    const watching = await synced(server, { staleMs: 150, backoff: { initialMs: 60, maxMs: 100, resetMs: 10_000 } });
    server.failNext({ resource: 'services', verb: 'watch', times: 1000 }, error(500));
    server.failNext({ resource: 'services', verb: 'list', times: 1000 }, { kind: 'text', text: '{}' });
    server.cutWatches('services');
    await until(() => watching.observed.some((line) => line.startsWith('watchStale services')));
    server.failNoMore();
    await until(() => said(watching).includes('info the watch is current again'));
    expect(watching.observed.filter((line) => line.startsWith('watchStale'))).toHaveLength(1);
  });

  it('is not one that is open and has nothing to tell', async () => {
    const server = await fakeWithCart();
    const watching = await synced(server, { staleMs: 50 });
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(watching.observed.some((line) => line.startsWith('watchStale'))).toBe(false);
    expect(watching.log).toEqual([]);
  });
});
