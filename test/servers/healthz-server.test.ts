import { formatTime, HealthzServer } from '../../src/servers/healthz-server';
import { ProxyHealth } from '../../src/servers/proxy-health';
import { connectAndLinger, freePort, occupy, portOf, recordLog, release, TestClock } from './listening';
import { until } from '../support/until';

const startMs = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const running: HealthzServer[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop()));
});

function create(options: { address?: string; port?: number; hardFail?: boolean } = {}) {
  const clock = new TestClock(startMs);
  const health = new ProxyHealth(() => 60_000);
  const answers: string[] = [];
  const reasons: string[] = [];
  const { log, lines } = recordLog();
  const server = new HealthzServer({
    address: { address: options.address ?? '127.0.0.1', port: options.port ?? 0 },
    hardFail: options.hardFail ?? false,
    health,
    onAnswer: (probe, code) => answers.push(`${probe} ${code}`),
    notReady: () => reasons,
    clock,
    log,
  });
  running.push(server);
  return { server, clock, health, answers, reasons, lines };
}
const urlOf = (server: HealthzServer, path: string, host = '127.0.0.1') =>
  `http://${host}:${server.address()?.port ?? 0}${path}`;

const now = '2026-01-02T03:04:05.678000000Z';
const earlier = '2026-01-02T03:04:04.678000000Z';

describe('an answer', () => {
  test.each<[string, (health: ProxyHealth) => void, string, number, string]>([
    [
      'all is well',
      (health) => {
        health.setNode({ leaving: false });
        health.updated('IPv6', startMs - 1000);
        health.updated('IPv4', startMs - 1000);
      },
      '/healthz',
      200,
      `{"lastUpdated":"${now}","currentTime":"${now}","nodeEligible":true,"healthy":true,"status":{"IPv4":{"lastUpdated":"${earlier}","healthy":true},"IPv6":{"lastUpdated":"${earlier}","healthy":true}}}`,
    ],
    [
      'the node is leaving',
      (health) => {
        health.setNode({ leaving: true });
        health.updated('IPv4', startMs - 1000);
      },
      '/healthz',
      503,
      `{"lastUpdated":"${earlier}","currentTime":"${now}","nodeEligible":false,"healthy":true,"status":{"IPv4":{"lastUpdated":"${earlier}","healthy":true}}}`,
    ],
    [
      'livez does not mind',
      (health) => {
        health.setNode({ leaving: true });
        health.updated('IPv4', startMs - 1000);
      },
      '/livez',
      200,
      `{"lastUpdated":"${now}","currentTime":"${now}","healthy":true,"status":{"IPv4":{"lastUpdated":"${earlier}","healthy":true}}}`,
    ],
    [
      'nothing was updated yet, and the node is not known',
      () => undefined,
      '/healthz?verbose',
      503,
      `{"lastUpdated":"0001-01-01T00:00:00Z","currentTime":"${now}","nodeEligible":false,"healthy":true,"status":{}}`,
    ],
    [
      'an update waits for a minute',
      (health) => {
        health.setNode({ leaving: false });
        health.updated('IPv4', startMs - 1000);
        health.queuedUpdate('IPv4', startMs - 60_000);
      },
      '/livez',
      503,
      `{"lastUpdated":"${earlier}","currentTime":"${now}","healthy":false,"status":{"IPv4":{"lastUpdated":"${earlier}","healthy":false}}}`,
    ],
  ])('when %s', async (_, prepare, path, status, body) => {
    const { server, health, answers } = create();
    prepare(health);
    await server.start();
    const response = await fetch(urlOf(server, path), { method: 'POST' });
    expect(response.status).toBe(status);
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(await response.text()).toBe(body);
    expect(answers).toEqual([`${path.slice(1).replace('?verbose', '')} ${status}`]);
  });

  test('readiness is 200 once nothing stands in its way, and is not counted', async () => {
    const { server, answers, reasons } = create();
    await server.start();
    reasons.push('the first IPv4 rules are being written');
    const before = await fetch(urlOf(server, '/readyz'));
    expect([before.status, await before.text()]).toEqual([
      503,
      '{"ready":false,"reasons":["the first IPv4 rules are being written"]}',
    ]);
    reasons.length = 0;
    const after = await fetch(urlOf(server, '/readyz'));
    expect([after.status, await after.text()]).toEqual([200, '{"ready":true,"reasons":[]}']);
    expect(after.headers.get('content-type')).toBe('application/json');
    expect(answers).toEqual([]);
  });

  test.each(['/', '/healthz/', '/metrics', '/constructor'])('%s is not found, and not counted', async (path) => {
    const { server, answers } = create();
    await server.start();
    expect((await fetch(urlOf(server, path))).status).toBe(404);
    expect(answers).toEqual([]);
  });
});

test.each([
  [0, '1970-01-01T00:00:00.000000000Z'],
  [startMs, now],
  [startMs + 0.25, '2026-01-02T03:04:05.678250000Z'],
  [undefined, '0001-01-01T00:00:00Z'],
])('%p ms is %s', (ms, text) => {
  expect(formatTime(ms)).toBe(text);
});

describe('listening', () => {
  test.each(['0.0.0.0', '::'])('on %s is on both families', async (address) => {
    const { server } = create({ address });
    await server.start();
    for (const host of ['127.0.0.1', '[::1]']) expect((await fetch(urlOf(server, '/livez', host))).status).toBe(200);
  });

  test('on one address is on that alone', async () => {
    const { server } = create({ address: '127.0.0.2' });
    await server.start();
    expect((await fetch(urlOf(server, '/livez', '127.0.0.2'))).status).toBe(200);
    await expect(fetch(urlOf(server, '/livez'))).rejects.toThrow();
  });

  test('is tried again every 5 s until the port is free', async () => {
    const other = await occupy(0, '127.0.0.1');
    const { server, clock, lines } = create({ port: portOf(other) });
    await server.start();
    expect(server.address()).toBeUndefined();
    clock.wake();
    await until(() => clock.sleeps.length === 2);
    await release(other);
    clock.wake();
    await until(() => server.address() !== undefined);
    expect(clock.sleeps).toEqual([5000, 5000]);
    expect((await fetch(urlOf(server, '/livez'))).status).toBe(200);
    expect(lines.map(({ level }) => level)).toEqual(['error', 'info']);
    expect(lines[0]?.msg).toMatch(/^the healthz server cannot listen on 127.0.0.1:\d+: .*EADDRINUSE/);
  });

  test('fails at once where that was asked for', async () => {
    const other = await occupy(0, '127.0.0.1');
    const { server, clock } = create({ port: portOf(other), hardFail: true });
    await expect(server.start()).rejects.toThrow(/^the healthz server cannot listen on .*EADDRINUSE/);
    expect(clock.sleeps).toEqual([]);
    await release(other);
  });
});

describe('stopping', () => {
  test('waits for no client, and frees the port', async () => {
    const port = await freePort();
    const { server } = create({ port });
    await server.start();
    await (await fetch(urlOf(server, '/livez'))).text();
    await connectAndLinger(port);
    const start = Date.now();
    await server.stop();
    expect(Date.now() - start).toBeLessThan(500);
    await release(await occupy(port, '127.0.0.1'));
  });

  test('ends the tries to listen', async () => {
    const other = await occupy(0, '127.0.0.1');
    const { server, clock } = create({ port: portOf(other) });
    await server.start();
    await server.stop();
    await release(other);
    clock.wake();
    expect(server.address()).toBeUndefined();
  });
});
