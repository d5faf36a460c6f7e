/** Whether an API server has EndpointSlices: yes, no, and "cannot tell". */
import { absent, type Answer, found, unknown } from '../../../src/model/answer';
import { EndpointsFallback } from '../../../src/sources/kubernetes/endpoints-fallback';
import type { FakeFaults } from '../../support/fake-api-faults';
import type { FakeApiServer } from '../../support/fake-api-server';
import { recordLog } from '../../servers/listening';
import { addressesOf, fake, follow, stopAll } from './opened';
import { endpoints, node, service, slice, type Watching } from './watching';
import { until } from '../../support/until';

afterEach(stopAll);

async function started(faults: FakeFaults): Promise<{ server: FakeApiServer; watching: Watching }> {
  const server = await fake();
  Object.assign(server.faults, faults);
  server.put(service('cart'), slice('cart-1', '10.0.0.1'), endpoints('cart', ['10.0.0.9']), node);
  return { server, watching: follow(server) };
}

const isAskedFor = (server: FakeApiServer, resource: string): boolean =>
  server.requests.some((request) => request.resource === resource);

it('a server that answers 404 while it starts has them a little later, and Endpoints are not asked for', async () => {
  const { server, watching } = await started({});
  server.failNext({ resource: 'endpointslices', times: 3 }, { kind: 'status', status: 404 });
  await until(() => watching.isSynced());
  expect(addressesOf(watching)).toEqual(['10.0.0.1']);
  expect(isAskedFor(server, 'endpoints')).toBe(false);
});

it.each(['named', 'unavailable'] as const)(
  'while its list of APIs is %s, a 404 says nothing, however often',
  async (isStarting) => {
    const { server, watching } = await started({ isStarting });
    const asked = (): number => server.requests.filter(({ resource }) => resource === 'endpointslices').length;
    await until(() => asked() > 12);
    expect(watching.isSynced()).toBe(false);
    expect(isAskedFor(server, 'endpoints')).toBe(false);
    expect(watching.log.map(({ message }) => message)).toEqual([
      'API server answers 404 for EndpointSlices; trying again',
    ]);
    delete server.faults.isStarting;
    await until(() => watching.isSynced());
    expect(addressesOf(watching)).toEqual(['10.0.0.1']);
  },
);

it('a server that has none is asked again and again, and its slices take over from Endpoints without a gap', async () => {
  const { server, watching } = await started({ lackDiscovery: true });
  await until(() => watching.isSynced());
  expect(addressesOf(watching)).toEqual(['10.0.0.9']);
  const before = watching.batches.length;
  delete server.faults.lackDiscovery;
  await until(() => addressesOf(watching).join() === '10.0.0.1' && server.watches('endpoints') === 0);
  const told = watching.batches.slice(before).flat();
  const first = told.findIndex((change) => change.op === 'set' && change.object.name === 'cart-1');
  const gone = told.findIndex((change) => change.op === 'delete');
  expect(first).toBeGreaterThanOrEqual(0);
  expect(gone).toBeGreaterThan(first);
  server.put(slice('cart-1', '10.0.0.2'), endpoints('cart', ['10.0.0.8']));
  await until(() => addressesOf(watching).join() === '10.0.0.2');
});

it('a 404 for slices that were there before takes nothing away', async () => {
  const { server, watching } = await started({});
  await until(() => watching.isSynced() && server.watches() === 3);
  server.faults.lackDiscovery = true;
  server.sendError(410, 'Expired', 'endpointslices');
  const asked = server.requests.length;
  await until(() => server.requests.length > asked + 8);
  expect(addressesOf(watching)).toEqual(['10.0.0.1']);
  expect(isAskedFor(server, 'endpoints')).toBe(false);
});

describe('EndpointsFallback', () => {
  async function isOnAfter(answers: readonly Answer<true>[]): Promise<boolean> {
    const left = [...answers];
    const fallback = new EndpointsFallback({
      ask: () => Promise.resolve(left.shift() ?? absent),
      start: () => () => Promise.resolve(),
      log: recordLog().log,
    });
    for (let asked = 0; asked < answers.length; asked++) await fallback.missing();
    return fallback.isOn;
  }

  it('wants "no" four times in a row', async () => {
    expect(await isOnAfter([absent, absent, absent])).toBe(false);
    expect(await isOnAfter([absent, absent, absent, absent])).toBe(true);
    expect(await isOnAfter([absent, absent, absent, unknown('503'), absent, absent, absent])).toBe(false);
    expect(await isOnAfter([absent, absent, absent, found(true), absent])).toBe(false);
    expect(await isOnAfter(Array<Answer<true>>(50).fill(unknown('503')))).toBe(false);
  });
});
