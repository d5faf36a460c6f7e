/** How requests get to the API server and answers come back: proxies, redirects, headers and bodies, over real connections. */
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { systemClock } from '../../../src/host/clock';
import { ApiClient } from '../../../src/sources/kubernetes/api-client';
import { loadCredentials } from '../../../src/sources/kubernetes/credentials';
import { TestAuthority, type Signed } from '../../support/test-authority';
import { TestProxy, type TestProxyOptions } from '../../support/test-proxy';

const hosts = { 'api.example': '127.0.0.1' };
let authority: TestAuthority;
let signed: Signed;
let secure: Server;
let plain: Server;
/** Requests that reached a server: `path authorization`. */
const reached: string[] = [];
let answer: RequestListener;
const proxies: TestProxy[] = [];

beforeAll(async () => {
  authority = TestAuthority.root('root');
  signed = authority.sign('api', {
    extensions: 'subjectAltName=DNS:api.example,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n',
  });
  const serve: RequestListener = (request, response) => {
    reached.push(`${request.url ?? ''} ${request.headers.authorization ?? 'nobody'}`);
    answer(request, response);
  };
  secure = createTlsServer(signed, serve);
  plain = createServer(serve);
  for (const server of [secure, plain]) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
beforeEach(() => {
  reached.length = 0;
  answer = (_, response) => response.end('{"well":true}');
});
afterEach(async () => {
  for (const proxy of proxies.splice(0)) await proxy.stop();
});
afterAll(() => {
  authority.remove();
  for (const server of [secure, plain]) {
    server.close();
    server.closeAllConnections();
  }
});

const portOf = (server: Server): number => (server.address() as AddressInfo).port;
const urlOf = (server: Server, host = 'api.example'): string =>
  `http${server === secure ? 's' : ''}://${host}:${portOf(server)}`;

async function proxyOf(kind: 'http' | 'socks', options: TestProxyOptions = {}): Promise<TestProxy> {
  const proxy = await TestProxy[kind]({ hosts, ...options });
  proxies.push(proxy);
  return proxy;
}

interface Asked {
  readonly server: string;
  readonly proxyUrl?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly path?: string;
}

function clientOf({ server, proxyUrl, environment = {} }: Asked): ApiClient {
  const ca = Buffer.from(authority.cert).toString('base64');
  const proxy = proxyUrl === undefined ? {} : { 'proxy-url': proxyUrl };
  const config = JSON.stringify({
    clusters: [{ name: 'c', cluster: { server, 'certificate-authority-data': ca, ...proxy } }],
    users: [{ name: 'u', user: { token: 'secret' } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  });
  const readFile = (): string => config;
  const credentials = loadCredentials({ kubeconfig: '/c', master: '', readFile, environment, clock: systemClock });
  return new ApiClient(credentials, { userAgent: 'test', responseTimeoutMs: 5000 });
}

/** What was answered, or how it failed. */
async function ask(asked: Asked): Promise<unknown> {
  const client = clientOf(asked);
  try {
    return await client.json(asked.path ?? '/api', new AbortController().signal);
  } catch (error) {
    return (error as Error).message;
  } finally {
    client.close();
  }
}

const well = { well: true };

describe('a proxy of the environment', () => {
  it('leads to a server of https by a tunnel, and looks up its name', async () => {
    const proxy = await proxyOf('http');
    const server = urlOf(secure);
    expect(await ask({ server, environment: { HTTPS_PROXY: `http://${proxy.address}` } })).toEqual(well);
    expect(proxy.asked).toEqual([`CONNECT api.example:${portOf(secure)}`]);
    expect(reached).toEqual(['/api Bearer secret']);
  });

  it('leads to a server of http by its whole URL', async () => {
    const proxy = await proxyOf('http');
    const server = urlOf(plain);
    expect(await ask({ server, environment: { http_proxy: proxy.address } })).toEqual(well);
    expect(proxy.asked).toEqual([`GET ${server}/api`]);
    expect(reached).toEqual(['/api Bearer secret']);
  });

  it('is left out where NO_PROXY or loopback says so', async () => {
    const environment = { HTTPS_PROXY: 'http://127.0.0.1:1', HTTP_PROXY: 'http://127.0.0.1:1' };
    for (const server of [secure, plain])
      expect(await ask({ server: urlOf(server, '127.0.0.1'), environment })).toEqual(well);
    expect(await ask({ server: urlOf(secure), environment })).toMatch(/^proxy 127.0.0.1:1: .*ECONNREFUSED/);
    expect(await ask({ server: urlOf(secure), environment: { ...environment, NO_PROXY: '.example' } })).toMatch(
      /api\.example/,
    );
  });

  it('keeps its tunnel for the next request', async () => {
    const proxy = await proxyOf('http');
    const client = clientOf({ server: urlOf(secure), environment: { https_proxy: `http://${proxy.address}` } });
    for (let i = 0; i < 3; i++) await client.json('/api', new AbortController().signal);
    expect(proxy.asked).toHaveLength(1);
    client.close();
  });

  it('of the kubeconfig goes before it, for loopback too', async () => {
    const proxy = await proxyOf('http');
    const environment = { HTTPS_PROXY: 'http://127.0.0.1:1', NO_PROXY: '*' };
    expect(await ask({ server: urlOf(secure, '127.0.0.1'), proxyUrl: `http://${proxy.address}`, environment })).toEqual(
      well,
    );
    expect(proxy.asked).toHaveLength(1);
  });
});

describe.each(['secure', 'plain'] as const)('to a %s server', (which) => {
  const server = (): string => urlOf(which === 'secure' ? secure : plain);

  it.each(['http', 'socks'] as const)('a proxy (%s) may want a name and a password', async (kind) => {
    const proxy = await proxyOf(kind, { credentials: 'us:p@ss' });
    const scheme = kind === 'http' ? 'http' : 'socks5';
    expect(await ask({ server: server(), proxyUrl: `${scheme}://us:p%40ss@${proxy.address}` })).toEqual(well);
    expect(await ask({ server: server(), proxyUrl: `${scheme}://us:wrong@${proxy.address}` })).toMatch(
      /^(proxy 127|407)/,
    );
    expect(reached).toEqual(['/api Bearer secret']);
  });

  it('a proxy may itself be of https, by the authority of the cluster', async () => {
    const proxy = await proxyOf('http', { tls: signed });
    expect(await ask({ server: server(), proxyUrl: `https://${proxy.address}` })).toEqual(well);
    expect(proxy.asked).toHaveLength(1);
  });

  it('SOCKS leaves the name to the proxy', async () => {
    const proxy = await proxyOf('socks');
    expect(await ask({ server: server(), proxyUrl: `socks5://${proxy.address}` })).toEqual(well);
    expect(proxy.asked).toEqual([`SOCKS ${new URL(server()).host}`]);
  });
});

it("a proxy's refusal is said in its words", async () => {
  const proxy = await proxyOf('http', { refuse: '403 Not this one' });
  const said = await ask({ server: urlOf(secure), proxyUrl: `http://${proxy.address}` });
  expect(said).toBe(`proxy ${proxy.address}: 403 Not this one`);
});

it.each(['ftp://proxy', 'proxy:3128', 'socks4://proxy'])('proxy-url %s is refused, as by client-go', (proxyUrl) => {
  expect(() => clientOf({ server: 'https://a', proxyUrl })).toThrow(
    /must be the URL of an http, https or socks5 proxy/,
  );
});

describe('redirects', () => {
  const redirect = (location: (path: string) => string | undefined): void => {
    answer = (request, response) => {
      const to = location(request.url ?? '');
      if (to === undefined) response.end('{"well":true}');
      else response.writeHead(302, { location: to }).end();
    };
  };
  const server = (): string => urlOf(secure, '127.0.0.1');

  it('are followed ten times, and not eleven', async () => {
    redirect((path) => (path === '/10' ? undefined : `/${Number(path.slice(1)) + 1}`));
    expect(await ask({ server: server(), path: '/0' })).toEqual(well);
    expect(reached).toHaveLength(11);
    redirect((path) => (path === '/11' ? undefined : `/${Number(path.slice(1)) + 1}`));
    expect(await ask({ server: server(), path: '/0' })).toBe('stopped after 10 redirects');
  });

  it('in a circle end', async () => {
    redirect((path) => path);
    expect(await ask({ server: server() })).toBe('stopped after 10 redirects');
  });

  it('to plain http or to another host take no credentials', async () => {
    redirect((path) => (path === '/api' ? `${urlOf(plain, '127.0.0.1')}/there` : undefined));
    expect(await ask({ server: server() })).toEqual(well);
    redirect((path) => (path === '/api' ? `${urlOf(plain, 'localhost')}/there` : undefined));
    expect(await ask({ server: urlOf(plain, '127.0.0.1') })).toEqual(well);
    redirect((path) => (path === '/api' ? `${urlOf(secure, '127.0.0.1')}/there` : undefined));
    expect(await ask({ server: urlOf(plain, '127.0.0.1') })).toEqual(well);
    expect(reached.filter((line) => line.startsWith('/there'))).toEqual([
      '/there nobody',
      '/there nobody',
      '/there Bearer secret',
    ]);
  });
});

describe('answers', () => {
  const server = (): string => urlOf(secure, '127.0.0.1');

  it('may be compressed, though nobody asked for it', async () => {
    answer = (_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('{"well":true}'));
    expect(await ask({ server: server() })).toEqual(well);
    answer = (_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('no gzip');
    expect(await ask({ server: server() })).toMatch(/cut short/);
  });

  it('may have headers of 200 KiB', async () => {
    const header = 'x'.repeat(50 * 1024);
    answer = (_, response) =>
      response.writeHead(200, { a: header, b: header, c: header, d: header }).end('{"well":true}');
    expect(await ask({ server: server() })).toEqual(well);
  });

  it('that never end are given up', async () => {
    let sent = 0;
    answer = (_, response) => {
      const more = (): void => {
        if (response.destroyed) return;
        sent++;
        response.write('x'.repeat(1 << 16), () => setImmediate(more));
      };
      more();
    };
    expect(await ask({ server: server() })).toMatch(/too long/);
    expect(sent).toBeLessThan(500);
  });

  it('of errors that never end, or have very much to say, are one line', async () => {
    answer = (_, response) => {
      response.writeHead(500);
      response.write('why '.repeat(1 << 17));
    };
    expect(String(await ask({ server: server() })).length).toBeLessThan(600);
    const message = 'why\n'.repeat(1 << 12);
    answer = (_, response) => response.writeHead(500).end(JSON.stringify({ kind: 'Status', code: 500, message }));
    expect(await ask({ server: server() })).toMatch(/^500 why why [why .]*$/);
  });
});

it('the address of an API server may be IPv6', async () => {
  const six = createServer((_, response) => response.end('{"well":true}'));
  await new Promise<void>((resolve) => six.listen(0, '::1', resolve));
  expect(await ask({ server: `http://[::1]:${portOf(six)}` })).toEqual(well);
  six.close();
  six.closeAllConnections();
});
