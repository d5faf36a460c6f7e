import { service, slice } from './watching';
import { until } from '../../support/until';
import { addressesOf, fake, namesOf, stopAll, synced } from './opened';

afterEach(stopAll);

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
      'warn API server does not answer; rules stay as they are',
      'info API server answers again',
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
