/** Which API servers are believed, and who we are to them: what Go's client connects to, over real TLS. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type TlsOptions } from 'node:tls';
import { systemClock } from '../../../src/host/clock';
import { ApiClient } from '../../../src/sources/kubernetes/api-client';
import { loadCredentials } from '../../../src/sources/kubernetes/credentials';
import { TestAuthority, type Signed } from '../../support/test-authority';

let root: TestAuthority;
let intermediate: TestAuthority;
let other: TestAuthority;
let folder: string;
let server: Signed;
let named: Signed;
let stale: Signed;
let rsaServer: Signed;
let client: Signed;
let rsaClient: Signed;

beforeAll(() => {
  root = TestAuthority.root('root');
  intermediate = root.intermediate('middle');
  other = TestAuthority.root('other');
  server = intermediate.sign('server');
  named = intermediate.sign('named', {
    extensions: 'subjectAltName=DNS:api.example,IP:192.0.2.7\nextendedKeyUsage=serverAuth\n',
  });
  stale = intermediate.sign('stale', { days: -1 });
  rsaServer = intermediate.sign('rsa', { rsa: true });
  const extensions = 'extendedKeyUsage=clientAuth\n';
  client = intermediate.sign('client', { extensions });
  rsaClient = intermediate.sign('rsa-client', { extensions, rsa: true });
  folder = mkdtempSync(join(tmpdir(), 'vipwire-tls-'));
}, 60_000);
afterAll(() => {
  root.remove();
  other.remove();
  rmSync(folder, { recursive: true });
});

interface Asked {
  readonly server: TlsOptions;
  /** Fields of the kubeconfig's cluster and user. */
  readonly cluster?: object;
  readonly user?: object;
  readonly environment?: Readonly<Record<string, string>>;
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const authority = (...certs: readonly string[]): object => ({ 'certificate-authority-data': base64(certs.join('')) });

/** The name of the client's certificate, '' without one, or how the request failed. */
async function ask({ server: options, cluster = {}, user = {}, environment = {} }: Asked): Promise<string> {
  const listening = createServer({ ...options }, (socket) => {
    const { subject } = socket.getPeerCertificate() as { readonly subject?: { readonly CN?: string } };
    const body = JSON.stringify({ who: subject?.CN ?? '' });
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`));
  });
  listening.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  const url = `https://127.0.0.1:${(listening.address() as AddressInfo).port}`;
  const config = JSON.stringify({
    clusters: [{ name: 'c', cluster: { server: url, ...cluster } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  });
  const readFile = (path: string): string => (path === '/config' ? config : readFileSync(path, 'utf8'));
  try {
    const credentials = loadCredentials({
      kubeconfig: '/config',
      master: '',
      readFile,
      environment,
      clock: systemClock,
    });
    const asking = new ApiClient(credentials, { userAgent: 'test', responseTimeoutMs: 5000 });
    try {
      return ((await asking.json('/', new AbortController().signal)) as { who: string }).who;
    } finally {
      asking.close();
    }
  } catch (error) {
    return `failed: ${(error as NodeJS.ErrnoException).code ?? ''} ${(error as Error).message}`;
  } finally {
    listening.close();
  }
}

const chain = (): Signed => ({ ...server, cert: server.cert + intermediate.cert });

describe('the server is believed', () => {
  it.each<[string, () => Asked]>([
    ['where the authority is an intermediate', () => ({ server, cluster: authority(intermediate.cert) })],
    ['where it sends the intermediate too', () => ({ server: chain(), cluster: authority(intermediate.cert) })],
    ['where the authority is the root', () => ({ server: chain(), cluster: authority(root.cert) })],
    ['where the authority is its own certificate', () => ({ server, cluster: authority(server.cert) })],
    ['where there are several authorities', () => ({ server, cluster: authority(other.cert, intermediate.cert) })],
    [
      'where text is around the certificates',
      () => ({ server, cluster: authority('# ours\r\n', intermediate.cert, '\n# end\n') }),
    ],
    ['where it has an RSA key', () => ({ server: rsaServer, cluster: authority(intermediate.cert) })],
    ['by TLS 1.2', () => ({ server: { ...server, maxVersion: 'TLSv1.2' }, cluster: authority(intermediate.cert) })],
    [
      'by TLS 1.3 alone',
      () => ({ server: { ...server, minVersion: 'TLSv1.3' }, cluster: authority(intermediate.cert) }),
    ],
    [
      'by the name of tls-server-name',
      () => ({ server: named, cluster: { ...authority(intermediate.cert), 'tls-server-name': 'api.example' } }),
    ],
    [
      'by an address as tls-server-name',
      () => ({ server: named, cluster: { ...authority(intermediate.cert), 'tls-server-name': '192.0.2.7' } }),
    ],
    [
      'unseen, where nothing is to be checked',
      () => ({ server: stale, cluster: { 'insecure-skip-tls-verify': true } }),
    ],
    [
      'by SSL_CERT_FILE',
      () => ({ server, environment: { SSL_CERT_FILE: write('roots.pem', other.cert + intermediate.cert) } }),
    ],
    [
      'by SSL_CERT_DIR',
      () => {
        execFileSync('mkdir', ['-p', join(folder, 'certs')]);
        write('certs/one.pem', intermediate.cert);
        return {
          server,
          environment: { SSL_CERT_DIR: `/nonexistent:${join(folder, 'certs')}`, SSL_CERT_FILE: '/nonexistent' },
        };
      },
    ],
    [
      "where the authority is empty, by the system's",
      () => ({
        server,
        cluster: { 'certificate-authority': write('empty.pem', '\n') },
        environment: { SSL_CERT_FILE: write('roots.pem', intermediate.cert) },
      }),
    ],
  ])('%s', async (_what, asked) => {
    expect(await ask(asked())).toBe('');
  });
});

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe('the server is not believed', () => {
  it.each<[string, () => Asked, RegExp]>([
    [
      'where another authority is given',
      () => ({ server: chain(), cluster: authority(other.cert) }),
      /issuer|certificate/,
    ],
    ['where the intermediate is missing', () => ({ server, cluster: authority(root.cert) }), /certificate/],
    ['where no authority is given', () => ({ server: chain() }), /certificate/],
    [
      "where the kubeconfig has one, by the system's",
      () => ({
        server,
        cluster: authority(other.cert),
        environment: { SSL_CERT_FILE: write('roots.pem', intermediate.cert) },
      }),
      /certificate/,
    ],
    [
      'by another name',
      () => ({ server: named, cluster: authority(intermediate.cert) }),
      /ERR_TLS_CERT_ALTNAME_INVALID/,
    ],
    [
      'by a wrong tls-server-name',
      () => ({ server: named, cluster: { ...authority(intermediate.cert), 'tls-server-name': 'api.other' } }),
      /ERR_TLS_CERT_ALTNAME_INVALID/,
    ],
    [
      'by a wrong address as tls-server-name',
      () => ({ server: named, cluster: { ...authority(intermediate.cert), 'tls-server-name': '192.0.2.8' } }),
      /ERR_TLS_CERT_ALTNAME_INVALID/,
    ],
    ['where it has expired', () => ({ server: stale, cluster: authority(intermediate.cert) }), /CERT_HAS_EXPIRED/],
    [
      'by TLS 1.1',
      () => ({
        server: { ...server, maxVersion: 'TLSv1.1', minVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' },
        cluster: authority(intermediate.cert),
      }),
      /protocol|version|EPROTO/i,
    ],
    [
      'where the authority is no certificate',
      () => ({ server, cluster: authority('nothing') }),
      /^failed: +certificate authority: it has no PEM certificate$/,
    ],
  ])('%s', async (_what, asked, why) => {
    expect(await ask(asked())).toMatch(why);
  });

  it('whatever the variables say that turn off checks in Node', async () => {
    const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
    try {
      expect(await ask({ server: chain(), cluster: authority(other.cert) })).toMatch(/^failed/);
    } finally {
      if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
      else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before;
    }
  });
});

describe('we are', () => {
  const parameters = '-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n';
  it.each<[string, () => Signed, string]>([
    ['who an EC key says', () => client, 'client'],
    ['who an RSA key says', () => rsaClient, 'rsa-client'],
    [
      'the same where the parameters of the curve come first',
      () => ({ ...client, key: parameters + client.key }),
      'client',
    ],
    [
      'the same where one text has the certificate and then the key',
      () => ({ cert: client.cert + client.key, key: client.cert + client.key }),
      'client',
    ],
    [
      'the same where one text has the key and then the certificate',
      () => ({ cert: client.key + client.cert, key: client.key + client.cert }),
      'client',
    ],
    [
      'the same with the intermediate after the certificate',
      () => ({ ...client, cert: client.cert + intermediate.cert }),
      'client',
    ],
  ])('%s', async (_what, who, name) => {
    const user = { 'client-certificate-data': base64(who().cert), 'client-key-data': base64(who().key) };
    const asked = {
      server: { ...server, ca: [root.cert, intermediate.cert], requestCert: true },
      cluster: authority(intermediate.cert),
      user,
    };
    expect(await ask(asked)).toBe(name);
  });

  it("nobody where the key is not the certificate's: that is said at the start", async () => {
    const user = { 'client-certificate-data': base64(client.cert), 'client-key-data': base64(rsaClient.key) };
    expect(await ask({ server, cluster: authority(intermediate.cert), user })).toMatch(
      /^failed: +certificates of https:.*key/,
    );
  });
});
