/** ServiceCIDRs: read where they are wanted, followed at once, kept while nobody can tell, and never waited for long. */
import type { KubernetesTiming } from '../../../src/sources/kubernetes/source';
import type { FakeApiServer } from '../../support/fake-api-server';
import { until } from '../../support/until';
import { fake, follow, requestsOf, stopAll } from './opened';
import { node, service, serviceCIDR, type Watching } from './watching';

afterEach(stopAll);

async function started(
  prepare: (server: FakeApiServer) => void = () => undefined,
  timing: Partial<KubernetesTiming> = {},
): Promise<{ server: FakeApiServer; watching: Watching }> {
  const server = await fake();
  server.put(service('cart'), node, serviceCIDR('kubernetes', '10.96.0.0/16', 'fd96::/112'));
  prepare(server);
  return { server, watching: follow(server, timing, true) };
}

const cidrsOf = ({ store }: Watching): string => store.serviceCIDRs.join(' ');
const requests = (server: FakeApiServer): number =>
  server.requests.filter(({ resource }) => resource === 'servicecidrs').length;
const lack = (server: FakeApiServer): void =>
  server.failNext({ resource: 'servicecidrs', times: 1000 }, { kind: 'status', status: 404 });

it('are known when the source is in sync, and their changes are followed', async () => {
  const { server, watching } = await started();
  await until(() => watching.isSynced());
  expect(cidrsOf(watching)).toBe('10.96.0.0/16 fd96::/112');
  expect(requestsOf(server, 'servicecidrs', 'watch')[0]).not.toHaveProperty('labelSelector');
  await until(() => server.watches('servicecidrs') === 1);
  server.put(serviceCIDR('more', '10.100.1.0/16'));
  await until(() => cidrsOf(watching) === '10.100.0.0/16 10.96.0.0/16 fd96::/112');
  server.delete('servicecidrs', 'kubernetes');
  await until(() => cidrsOf(watching) === '10.100.0.0/16');
  server.put(serviceCIDR('more', '10.101.0.0/16'));
  await until(() => cidrsOf(watching) === '10.101.0.0/16');
  expect(watching.log).toEqual([]);
  expect(watching.warnings).toEqual([]);
});

it('are not asked for where nobody wants them, and are forgotten where nobody does any more', async () => {
  const server = await fake();
  server.put(service('cart'), node, serviceCIDR('kubernetes', '10.96.0.0/16'));
  const watching = follow(server);
  await until(() => watching.isSynced() && server.watches() === 3);
  expect(requests(server)).toBe(0);
  watching.source.readServiceCIDRs(true);
  await until(() => cidrsOf(watching) === '10.96.0.0/16');
  watching.source.readServiceCIDRs(false);
  await until(() => cidrsOf(watching) === '' && server.watches('servicecidrs') === 0);
  watching.source.readServiceCIDRs(true);
  watching.source.readServiceCIDRs(false);
  watching.source.readServiceCIDRs(true);
  await until(() => cidrsOf(watching) === '10.96.0.0/16' && server.watches('servicecidrs') === 1);
});

describe('a server without the kind', () => {
  it('has none, holds nobody up, and is asked again later', async () => {
    const { server, watching } = await started(lack, { absentKindMs: 100, serviceCIDRWaitMs: 60_000 });
    await until(() => watching.isSynced());
    expect(cidrsOf(watching)).toBe('');
    await until(() => requests(server) >= 6);
    expect(watching.log.map(({ level, message }) => `${level}: ${message}`)).toEqual([
      'info: API server has no ServiceCIDRs: packets to unused addresses of Services are not dropped',
    ]);
    server.failNoMore();
    await until(() => cidrsOf(watching) === '10.96.0.0/16 fd96::/112');
    server.put(serviceCIDR('more', '10.100.0.0/16'));
    await until(() => cidrsOf(watching).startsWith('10.100.0.0/16'));
  });

  it('is asked a few times soon, since a starting server answers so too, and then seldom', async () => {
    const { server, watching } = await started(lack, { absentKindMs: 60_000 });
    await until(() => requests(server) === 4);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(requests(server)).toBe(4);
    await watching.source.stop();
  });

  it('takes nothing away from what was known', async () => {
    const { server, watching } = await started();
    await until(() => watching.isSynced() && server.watches('servicecidrs') === 1);
    lack(server);
    server.sendError(410, 'Expired', 'servicecidrs');
    const asked = requests(server);
    await until(() => requests(server) > asked + 3);
    expect(cidrsOf(watching)).toBe('10.96.0.0/16 fd96::/112');
  });
});

it.each([
  ['refuses them', { kind: 'status', status: 403, message: 'forbidden' }],
  ['fails', { kind: 'status', status: 500 }],
  ['sends no byte', { kind: 'silent-body' }],
] as const)('a server that %s holds nobody up for long', async (_what, failure) => {
  const prepare = (server: FakeApiServer): void => server.failNext({ resource: 'servicecidrs', times: 1000 }, failure);
  const { server, watching } = await started(prepare, { serviceCIDRWaitMs: 150 });
  await until(() => watching.isSynced());
  expect(cidrsOf(watching)).toBe('');
  server.failNoMore();
  await until(() => cidrsOf(watching) === '10.96.0.0/16 fd96::/112');
});

it('a server that goes away and comes back with another list: the old one counts meanwhile', async () => {
  const { server, watching } = await started();
  await until(() => watching.isSynced() && server.watches() === 4);
  await server.goAway();
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(cidrsOf(watching)).toBe('10.96.0.0/16 fd96::/112');
  server.put(serviceCIDR('kubernetes', '10.97.0.0/16'));
  await server.comeBack();
  await until(() => cidrsOf(watching) === '10.97.0.0/16');
});
