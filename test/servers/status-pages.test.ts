import { request } from 'node:http';
import { MetricsServer } from '../../src/servers/metrics-server';
import { isOfThisHost, statusPages } from '../../src/servers/status-pages';
import type { ListRequest } from '../../src/planner/list-services';
import { ProxyMetrics } from '../../src/telemetry/metrics';
import { StatusBoard } from '../../src/telemetry/status-board';
import { recordLog, TestClock } from './listening';

const board = new StatusBoard(() => 0);
const requests: ListRequest[] = [];
const of = { version: '0', node: 'node-1', mode: 'iptables', healthy: true, nodeEligible: true };
let server: MetricsServer;
beforeAll(async () => {
  server = new MetricsServer({
    address: { address: '0.0.0.0', port: 0 },
    hardFail: true,
    metrics: new ProxyMetrics('0'),
    mode: () => 'iptables',
    pages: statusPages({
      status: () => board.status(of, { waitingFor: () => ['it starts'], unserved: () => [] }),
      services: (asked) => {
        requests.push(asked);
        return { total: 0, found: 0, services: [] };
      },
    }),
    clock: new TestClock(0),
    log: recordLog().log,
  });
  await server.start();
});
afterAll(() => server.stop());

/** By a Host of one's own, which fetch does not send. */
function ask(path: string, host: string, address = '127.0.0.1'): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const options = { host: address, port: server.address()?.port ?? 0, path, headers: { host } };
    request(options, (response) => resolve(response.resume().statusCode))
      .on('error', reject)
      .end();
  });
}

test('/vipwire/status is the status as JSON', async () => {
  const response = await fetch(`http://127.0.0.1:${server.address()?.port ?? 0}/vipwire/status`);
  expect(response.headers.get('content-type')).toBe('application/json');
  expect(await response.json()).toMatchObject({ ...of, notReady: ['it starts'], families: {} });
});

test('/ is a page that may load nothing but its own script', async () => {
  const response = await fetch(`http://127.0.0.1:${server.address()?.port ?? 0}/`);
  expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(response.headers.get('content-security-policy')).toMatch(
    /^default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; script-src 'sha256-[^']+'; /,
  );
  const html = await response.text();
  expect(html).not.toMatch(/(src|href)=|url\(|@import|https?:\/\/(?!www\.w3\.org\/2000\/svg)/);
});

test.each<[string, ListRequest]>([
  ['', { search: '', offset: 0, limit: 200 }],
  ['?search=shop%2Fcart%2010.96&offset=50&limit=10', { search: 'shop/cart 10.96', offset: 50, limit: 10 }],
  ['?offset=-1&limit=100000', { search: '', offset: 0, limit: 200 }],
  ['?limit=x', { search: '', offset: 0, limit: 200 }],
])('/vipwire/services%s', async (query, asked) => {
  await fetch(`http://127.0.0.1:${server.address()?.port ?? 0}/vipwire/services${query}`);
  expect(requests.at(-1)).toEqual(asked);
});

describe('it is told', () => {
  const port = (): number => server.address()?.port ?? 0;
  test.each(['/', '/vipwire/status', '/vipwire/services'])('on this host alone: %s', async (path) => {
    expect(await ask(path, `127.0.0.1:${port()}`)).toBe(200);
    expect(await ask(path, `localhost:${port()}`)).toBe(200);
    expect(await ask(path, `[::1]:${port()}`, '::1')).toBe(200);
    expect(await ask(path, '192.168.88.10', '127.0.0.2')).toBe(200);
  });

  test('to no page of a name that leads here', async () => {
    for (const host of ['evil.example', 'evil.example:10249', 'localhost.evil.example'])
      expect(await ask('/vipwire/status', host)).toBe(403);
  });

  test.each([
    ['192.168.88.100', '192.168.88.10', '192.168.88.10:10249', false],
    ['::ffff:192.168.88.100', '::ffff:192.168.88.10', '192.168.88.10:10249', false],
    ['192.168.88.10', '192.168.88.10', '192.168.88.10:10249', true],
    ['::ffff:127.0.0.1', '::ffff:127.0.0.1', '127.0.0.1', true],
    ['fd88::1', 'fd88::10', '[fd88::10]:10249', false],
    ['127.0.0.1', '127.0.0.1', '', false],
  ])('to %s at %s, asked for as %j: %p', (remote, local, host, is) => {
    expect(isOfThisHost(remote, local, host)).toBe(is);
  });
});
