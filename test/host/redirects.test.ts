import { mayHaveSecrets, redirected } from '../../src/host/redirects';

const secrets = { authorization: 'Bearer x', cookie: 'a', 'impersonate-user': 'u' };

// Go's own table (net/http, TestShouldCopyHeaderOnRedirect), and no secret in clear.
it.each<[string, string, boolean]>([
  ['http://foo.com/', 'http://bar.com/', false],
  ['http://foo.com/', 'http://foo.com/', true],
  ['http://foo.com/', 'http://foo.com:1234/', true],
  ['http://foo.com:1234/', 'http://foo.com/', true],
  ['http://foo.com/', 'http://sub.foo.com/', true],
  ['http://foo.com/', 'http://notfoo.com/', false],
  ['http://sub.foo.com/', 'http://foo.com/', false],
  ['http://foo.com/', 'https://foo.com/', true],
  ['https://foo.com/', 'http://foo.com/', false],
  ['http://10.0.0.1/', 'http://10.0.0.1:99/', true],
  ['http://10.0.0.1/', 'http://110.0.0.1/', false],
  ['http://0.0.1.1/', 'http://1.0.0.1/', false],
  ['http://[::1]/', 'http://[::1%25.foo]/', false],
  ['https://[fd00::1]:6443/', 'https://[fd00::1]/', true],
])('from %s to %s credentials are sent: %p', (from, to, are) => {
  if (!URL.canParse(to)) return;
  expect(mayHaveSecrets(new URL(from), new URL(to))).toBe(are);
});

describe('redirected', () => {
  const request = {
    url: new URL('https://api.example/a/b?watch=true'),
    headers: { ...secrets, accept: 'application/json' },
    signal: new AbortController().signal,
    responseTimeoutMs: 1,
  };
  const to = (status: number, location: string | undefined, method: 'GET' | 'POST' = 'GET'): string | undefined =>
    redirected({ ...request, method }, request.url, status, location)?.url.href;

  it.each<readonly [number, string | undefined, 'GET' | 'POST', string | undefined]>([
    ...[301, 302, 303, 307, 308].map((status) => [status, '/c', 'GET', 'https://api.example/c'] as const),
    ...[200, 201, 204, 300, 304, 305, 306, 400, 500].map((status) => [status, '/c', 'GET', undefined] as const),
    [301, undefined, 'GET', undefined],
    [302, 'c?d', 'GET', 'https://api.example/a/c?d'],
    [302, '//other.example/x', 'GET', 'https://other.example/x'],
    [302, '', 'GET', 'https://api.example/a/b?watch=true'],
    ...[301, 302, 303].map((status) => [status, '/c', 'POST', undefined] as const),
    ...[307, 308].map((status) => [status, '/c', 'POST', 'https://api.example/c'] as const),
  ])('%d %p of a %s leads to %p', (status, location, method, url) => {
    expect(to(status, location, method)).toBe(url);
  });

  it('drops credentials for another host, and for good', () => {
    const away = redirected(request, request.url, 302, 'https://other.example/');
    expect(away?.headers).toEqual({ accept: 'application/json' });
    const back = away && redirected(away, request.url, 302, 'https://api.example/');
    expect(back?.headers).toEqual({ accept: 'application/json' });
    expect(redirected(request, request.url, 302, '/c')?.headers).toEqual(request.headers);
  });

  it.each(['ftp://a/', 'javascript:0', 'https://[', 'file:///etc/passwd'])('does not go to %s', (location) => {
    expect(() => to(302, location)).toThrow('redirected to');
  });
});
