import { parseProxy, proxyOfEnvironment } from '../../src/host/proxy-rules';

const proxied = (url: string, environment: Readonly<Record<string, string>>): string | undefined =>
  proxyOfEnvironment(environment)(new URL(url))?.href;

// Go's own table (golang.org/x/net/http/httpproxy, proxy_test.go) and more of the kind: what NO_PROXY says of a URL.
describe('NO_PROXY', () => {
  it.each<[string, string, boolean]>([
    ['https://10.0.0.1:6443', '', true],
    ['https://localhost:6443', '', false],
    ['https://127.0.0.1:6443', '', false],
    ['https://127.3.2.1', '', false],
    ['https://[::1]:6443', '', false],
    ['https://[::2]:6443', '', true],
    ['https://localhost.example', '', true],
    ['https://api.example', 'api.example', false],
    ['https://API.example', 'Api.Example', false],
    ['https://a.api.example', 'api.example', false],
    ['https://xapi.example', 'api.example', true],
    ['https://api.example', '.api.example', true],
    ['https://a.api.example', '.api.example', false],
    ['https://api.example', '*.api.example', true],
    ['https://a.api.example', '*.api.example', false],
    ['https://api.example', '*example', true],
    ['https://api.example', '*', false],
    ['https://10.0.0.1', '*', false],
    ['https://10.0.0.1', 'x, *, y', false],
    ['https://api.example', 'other.example, api.example', false],
    ['https://api.example', ' api.example ', false],
    ['https://api.example', 'a,,api.example', false],
    ['https://api.example:6443', 'api.example:6443', false],
    ['https://api.example:6443', 'api.example:443', true],
    ['https://api.example', 'api.example:443', false],
    ['http://api.example', 'api.example:80', false],
    ['https://a.api.example:6443', '.api.example:6443', false],
    ['https://10.0.0.1:6443', '10.0.0.1', false],
    ['https://10.0.0.1:6443', '10.0.0.1:6443', false],
    ['https://10.0.0.1:6443', '10.0.0.1:443', true],
    ['https://10.0.0.2', '10.0.0.1', true],
    ['https://10.1.2.3', '10.0.0.0/8', false],
    ['https://11.1.2.3', '10.0.0.0/8', true],
    ['https://10.1.2.3', '10.9.9.9/8', false],
    ['https://10.1.2.3', '0.0.0.0/0', false],
    ['https://10.1.2.3', '10.0.0.0/33', true],
    ['https://10.1.2.3', '10.0.0.0/', true],
    ['https://10.1.2.3', '10.0.0', true],
    ['https://10.1.2.3', '.3', true],
    ['https://api.example', '10.0.0.0/8', true],
    ['https://[fd00::1]:6443', 'fd00::/8', false],
    ['https://[fd00::1]:6443', 'fd00::1', false],
    ['https://[fd00::1]:6443', '[fd00::1]', true],
    ['https://[fd00::1]:6443', '[fd00::1]:6443', false],
    ['https://[fd00::1]:6443', '[fd00::1]:443', true],
    ['https://[fd01::1]:6443', 'fd00::/16', true],
    ['https://[2001:db8::1]', '10.0.0.0/8,2001:db8::/32', false],
    ['https://kubernetes.default.svc', '10.0.0.0/8,.svc,.cluster.local', false],
  ])('%s with %p goes through the proxy: %p', (url, exceptions, goes) => {
    const environment = { HTTPS_PROXY: 'http://proxy:3128', HTTP_PROXY: 'http://proxy:3128', NO_PROXY: exceptions };
    expect(proxied(url, environment) !== undefined).toBe(goes);
    expect(
      proxied(url, { https_proxy: 'http://proxy:3128', http_proxy: 'proxy:3128', no_proxy: exceptions }) !== undefined,
    ).toBe(goes);
  });
});

describe('which variable counts', () => {
  it.each<[string, Readonly<Record<string, string>>, string | undefined]>([
    ['https://a', { HTTPS_PROXY: 'http://p:1' }, 'http://p:1/'],
    ['https://a', { https_proxy: 'http://p:1' }, 'http://p:1/'],
    ['https://a', { HTTPS_PROXY: 'http://p:1', https_proxy: 'http://q:1' }, 'http://p:1/'],
    ['https://a', { HTTPS_PROXY: '', https_proxy: 'http://q:1' }, 'http://q:1/'],
    ['https://a', { HTTP_PROXY: 'http://p:1' }, undefined],
    ['http://a', { HTTPS_PROXY: 'http://p:1' }, undefined],
    ['http://a', { HTTP_PROXY: 'http://p:1' }, 'http://p:1/'],
    ['https://a', { ALL_PROXY: 'http://p:1', all_proxy: 'http://p:1' }, undefined],
    ['https://a', { HTTPS_PROXY: 'p:1', NO_PROXY: 'b', no_proxy: 'a' }, 'http://p:1/'],
    ['https://a', { HTTPS_PROXY: 'http://p:1', REQUEST_METHOD: 'GET' }, 'http://p:1/'],
    ['https://a', {}, undefined],
  ])('%s with %j', (url, environment, proxy) => {
    expect(proxied(url, environment)).toBe(proxy);
  });

  it('HTTP_PROXY is not believed in a CGI program', () => {
    expect(() => proxied('http://a', { HTTP_PROXY: 'http://p:1', REQUEST_METHOD: 'GET' })).toThrow('REQUEST_METHOD');
  });
});

it.each<[string, string | undefined]>([
  ['http://proxy:3128', 'http://proxy:3128/'],
  ['proxy:3128', 'http://proxy:3128/'],
  ['10.0.0.9:3128', 'http://10.0.0.9:3128/'],
  ['[fd00::9]:3128', 'http://[fd00::9]:3128/'],
  ['proxy', 'http://proxy/'],
  ['https://proxy', 'https://proxy/'],
  ['socks5://proxy:1080', 'socks5://proxy:1080'],
  ['socks5h://proxy', 'socks5h://proxy'],
  ['http://user:p%40ss@proxy:3128', 'http://user:p%40ss@proxy:3128/'],
  ['user:pass@proxy:3128', 'http://user:pass@proxy:3128/'],
  ['', undefined],
  ['http://', undefined],
  ['::', undefined],
])('a proxy is written %p', (text, href) => {
  expect(parseProxy(text)?.href).toBe(href);
});
