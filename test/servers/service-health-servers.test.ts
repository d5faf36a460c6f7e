import type { Family } from '../../src/model/address';
import { serviceKey } from '../../src/model/cluster';
import type { ServiceKey } from '../../src/model/cluster';
import type { NodePortAddresses } from '../../src/planner/plan';
import { ServiceHealthServers } from '../../src/servers/service-health-servers';
import type { ServiceHealth } from '../../src/servers/service-health-servers';
import { connectAndLinger, freePort, occupy, recordLog, release, TestClock } from './listening';
import { until } from '../support/until';

const running: ServiceHealthServers[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((servers) => servers.stop()));
});

function create(family: Family = 'IPv4', addresses: NodePortAddresses = { kind: 'all' }) {
  const { log, lines } = recordLog();
  const proxy = { healthy: true };
  const clock = new TestClock(0);
  const servers = new ServiceHealthServers({ family, addresses, isProxyHealthy: () => proxy.healthy, clock, log });
  running.push(servers);
  return { servers, proxy, lines, clock };
}

function services(...all: [name: string, port: number, localEndpoints: number][]): Map<ServiceKey, ServiceHealth> {
  return new Map(
    all.map(([name, port, localEndpoints]) => [
      serviceKey('default', name),
      { namespace: 'default', name, port, localEndpoints },
    ]),
  );
}

/** Status and, where there is a body, its name and count; `closed` where nobody listens. */
async function ask(port: number, host = '127.0.0.1'): Promise<string> {
  try {
    const response = await fetch(`http://${host}:${port}/any/path`);
    const body = await response.text();
    if (body === '') return `${response.status} nothing`;
    const { service, localEndpoints } = JSON.parse(body) as { service: { name: string }; localEndpoints: number };
    return `${response.status} ${service.name} ${localEndpoints}`;
  } catch {
    return 'closed';
  }
}

test('the answer has headers and a body with tabs', async () => {
  const { servers } = create();
  const port = await freePort();
  await servers.sync(services(['lb', port, 1]));
  const response = await fetch(`http://127.0.0.1:${port}/`, { method: 'DELETE' });
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('application/json');
  expect(response.headers.get('x-content-type-options')).toBe('nosniff');
  expect(response.headers.get('x-load-balancing-endpoint-weight')).toBe('1');
  expect(await response.text()).toBe(
    '{\n\t"service": {\n\t\t"namespace": "default",\n\t\t"name": "lb"\n\t},\n\t"localEndpoints": 1,\n\t"serviceProxyHealthy": true\n}',
  );
});

test.each([
  [2, true, 200],
  [0, true, 503],
  [2, false, 503],
])('%d endpoints here, proxy healthy %p: %d', async (count, healthy, status) => {
  const { servers, proxy } = create();
  proxy.healthy = healthy;
  const port = await freePort();
  await servers.sync(services(['lb', port, count]));
  const response = await fetch(`http://127.0.0.1:${port}/`);
  expect(response.status).toBe(status);
  expect(response.headers.get('x-load-balancing-endpoint-weight')).toBe(String(count));
  expect(await response.json()).toMatchObject({ localEndpoints: count, serviceProxyHealthy: healthy });
});

describe('ports', () => {
  test('follow the Services', async () => {
    const { servers } = create();
    const [a, b] = [await freePort(), await freePort()];
    await servers.sync(services(['one', a, 1]));
    expect([await ask(a), await ask(b)]).toEqual(['200 one 1', 'closed']);
    await servers.sync(services(['one', a, 3], ['two', b, 0]));
    expect([await ask(a), await ask(b)]).toEqual(['200 one 3', '503 two 0']);
    await servers.sync(services(['two', b, 0]));
    expect([await ask(a), await ask(b)]).toEqual(['closed', '503 two 0']);
  });

  test('move: of a Service, and from one to another', async () => {
    const { servers } = create();
    const [a, b] = [await freePort(), await freePort()];
    await servers.sync(services(['one', a, 1], ['two', b, 2]));
    await servers.sync(services(['one', b, 1], ['two', a, 2]));
    expect([await ask(a), await ask(b)]).toEqual(['200 two 2', '200 one 1']);
  });

  test('that others have are tried again, with one warning', async () => {
    const { servers, lines } = create();
    const [a, b] = [await freePort(), await freePort()];
    const other = await occupy(a, '0.0.0.0');
    await servers.sync(services(['one', a, 1], ['two', b, 2]));
    await servers.sync(services(['one', a, 1], ['two', b, 2]));
    expect(await ask(b)).toBe('200 two 2');
    expect(lines.map(({ level }) => level)).toEqual(['warn', 'debug']);
    expect(lines[0]?.msg).toMatch(new RegExp(`^the service health port 0.0.0.0:${a} cannot be opened: .*EADDRINUSE`));
    await release(other);
    await servers.sync(services(['one', a, 1], ['two', b, 2]));
    expect(await ask(a)).toBe('200 one 1');
  });

  test('that others had are opened without waiting for a change', async () => {
    const { servers, lines, clock } = create();
    const port = await freePort();
    const other = await occupy(port, '0.0.0.0');
    await servers.sync(services(['one', port, 1]));
    clock.wake();
    await until(() => clock.sleeps.length === 2);
    expect(clock.sleeps).toEqual([5000, 5000]);
    await release(other);
    clock.wake();
    await until(() => lines.some(({ msg }) => msg === 'the service health port is open now'));
    expect(await ask(port)).toBe('200 one 1');
    await servers.sync(services());
    expect(clock.sleeps).toHaveLength(2);
  });

  test('are as the last of overlapping calls has them', async () => {
    const { servers } = create();
    const [a, b] = [await freePort(), await freePort()];
    void servers.sync(services(['one', a, 1]));
    void servers.sync(services(['one', b, 1]));
    void servers.sync(services(['one', a, 5], ['two', b, 2]));
    await servers.sync(services(['two', a, 2]));
    expect([await ask(a), await ask(b)]).toEqual(['200 two 2', 'closed']);
  });
});

describe('addresses', () => {
  test('are of one family, so that two can have the same port', async () => {
    const port = await freePort();
    const v4 = create('IPv4').servers;
    const v6 = create('IPv6').servers;
    await v4.sync(services(['lb', port, 4]));
    expect([await ask(port), await ask(port, '[::1]')]).toEqual(['200 lb 4', 'closed']);
    await v6.sync(services(['lb', port, 6]));
    expect([await ask(port), await ask(port, '[::1]')]).toEqual(['200 lb 4', '200 lb 6']);
    await v4.stop();
    expect([await ask(port), await ask(port, '[::1]')]).toEqual(['closed', '200 lb 6']);
  });

  test('are the node-port addresses', async () => {
    const port = await freePort();
    const { servers } = create('IPv4', { kind: 'some', addresses: ['127.0.0.2', '127.0.0.3'] });
    await servers.sync(services(['lb', port, 1]));
    const answers = ['127.0.0.1', '127.0.0.2', '127.0.0.3'].map((host) => ask(port, host));
    expect(await Promise.all(answers)).toEqual(['closed', '200 lb 1', '200 lb 1']);
  });

  test('are all open or none', async () => {
    const port = await freePort();
    const other = await occupy(port, '127.0.0.3');
    const { servers } = create('IPv4', { kind: 'some', addresses: ['127.0.0.2', '127.0.0.3'] });
    await servers.sync(services(['lb', port, 1]));
    expect(await ask(port, '127.0.0.2')).toBe('closed');
    await release(other);
    await servers.sync(services(['lb', port, 1]));
    expect(await ask(port, '127.0.0.2')).toBe('200 lb 1');
  });

  test('may be none at all', async () => {
    const port = await freePort();
    const { servers, lines } = create('IPv4', { kind: 'some', addresses: [] });
    await servers.sync(services(['lb', port, 1]));
    expect(await ask(port)).toBe('closed');
    expect(lines).toEqual([]);
  });
});

test('stopping waits for no client, and is for good', async () => {
  const { servers } = create();
  const port = await freePort();
  await servers.sync(services(['lb', port, 1]));
  expect(await ask(port)).toBe('200 lb 1');
  await connectAndLinger(port);
  const start = Date.now();
  await servers.stop();
  expect(Date.now() - start).toBeLessThan(500);
  await servers.sync(services(['lb', port, 1]));
  expect(await ask(port)).toBe('closed');
});
