import { rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { UserError } from '../../../src/model/user-error';
import { type CredentialOptions, loadCredentials } from '../../../src/sources/kubernetes/credentials';
import { makeTestCertificates, type TestCertificates } from '../../support/test-certificates';
import { ask, client, fake, options, pathOf, useKubeconfigs, write } from './kubeconfigs';

let certificates: TestCertificates;
beforeAll(() => {
  certificates = makeTestCertificates();
});
useKubeconfigs();

describe('a kubeconfig', () => {
  it('may name a server of plain http', async () => {
    const server = await fake();
    await expect(ask(client({ kubeconfig: write('config', server.kubeconfig()) }))).resolves.toBe(200);
  });

  it('gives the authority that the server is checked by', async () => {
    const server = await fake({ certificates });
    await expect(ask(client({ kubeconfig: write('config', server.kubeconfig()) }))).resolves.toBe(200);
    const other = server.kubeconfig().replace(/,"certificate-authority-data":"[^"]*"/, '');
    await expect(ask(client({ kubeconfig: write('other', other) }))).rejects.toThrow(/certificate/);
    const insecure = other.replace('"server"', '"insecure-skip-tls-verify":true,"server"');
    await expect(ask(client({ kubeconfig: write('insecure', insecure) }))).resolves.toBe(200);
  });

  it('gives a client certificate, by files beside it, which is read anew when it rotates', async () => {
    const server = await fake({ certificates, clientCertificates: true });
    const user = { 'client-certificate': 'client.crt', 'client-key': 'client.key' };
    const stranger = makeTestCertificates().client;
    write('client.crt', stranger.cert);
    write('client.key', stranger.key);
    const asked = client({ kubeconfig: write('config', server.kubeconfig(user)) });
    await expect(ask(asked)).rejects.toThrow('401');
    write('client.crt', certificates.client.cert);
    write('client.key', certificates.client.key);
    await expect(ask(asked)).resolves.toBe(200);
  });

  it('gives a token, a password, or a token file that is read anew at every request', async () => {
    const server = await fake();
    server.faults.token = 'one';
    await expect(ask(client({ kubeconfig: write('token', server.kubeconfig({ token: 'one' })) }))).resolves.toBe(200);
    await expect(ask(client({ kubeconfig: write('none', server.kubeconfig()) }))).rejects.toThrow('401 Unauthorized');
    write('token-file', 'one\n');
    const asked = client({
      kubeconfig: write('config', server.kubeconfig({ tokenFile: 'token-file', token: 'stale' })),
    });
    await expect(ask(asked)).resolves.toBe(200);
    server.faults.token = 'two';
    write('token-file', 'two');
    await expect(ask(asked)).resolves.toBe(200);
    delete server.faults.token;
    await ask(client({ kubeconfig: write('basic', server.kubeconfig({ username: 'u', password: 'p' })) }));
    expect(server.requests.at(-1)?.headers.authorization).toBe(`Basic ${Buffer.from('u:p').toString('base64')}`);
    await ask(client({ kubeconfig: write('as', server.kubeconfig({ as: 'system:kube-proxy' })) }));
    expect(server.requests.at(-1)?.headers['impersonate-user']).toBe('system:kube-proxy');
  });

  it('goes on with what files held, while they cannot be read or hold nothing', async () => {
    const server = await fake({ certificates });
    server.faults.token = 'one';
    write('token-file', 'one');
    write('ca.crt', certificates.ca);
    const text = server.kubeconfig({ tokenFile: 'token-file' });
    const config = text.replace(/"certificate-authority-data":"[^"]*"/, '"certificate-authority":"ca.crt"');
    const asked = client({ kubeconfig: write('config', config) });
    for (const rotated of ['', ' \n', undefined]) {
      for (const name of ['token-file', 'ca.crt'])
        if (rotated === undefined) rmSync(pathOf(name), { force: true });
        else if (name === 'token-file') write(name, rotated);
        else write(name, 'half of a certif');
      await expect(ask(asked)).resolves.toBe(200);
    }
    server.faults.token = 'two';
    await expect(ask(asked)).rejects.toThrow(/^(token file|certificate authority) .*ENOENT/);
    write('token-file', 'two');
    write('ca.crt', certificates.ca);
    await expect(ask(asked)).resolves.toBe(200);
  });

  it('goes on with a pair of certificate and key until both are rotated', async () => {
    const server = await fake({ certificates, clientCertificates: true });
    write('client.crt', certificates.client.cert);
    write('client.key', certificates.client.key);
    const user = { 'client-certificate': 'client.crt', 'client-key': 'client.key' };
    const asked = client({ kubeconfig: write('config', server.kubeconfig(user)) });
    await expect(ask(asked)).resolves.toBe(200);
    write('client.key', makeTestCertificates().client.key);
    await expect(ask(asked)).resolves.toBe(200);
  });

  it('keeps its connection from request to request', async () => {
    const server = await fake({ certificates });
    const asked = client({ kubeconfig: write('config', server.kubeconfig()) });
    await ask(asked);
    await ask(asked);
    expect(new Set(server.requests.map(({ port }) => port)).size).toBe(1);
  });

  it('may name a proxy', async () => {
    const server = await fake({ certificates });
    const tunnels: string[] = [];
    const proxy = createServer();
    proxy.on('connect', (request, socket) => {
      tunnels.push(request.url ?? '');
      const upstream = connect(Number(new URL(server.url).port), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        upstream.pipe(socket).pipe(upstream);
      });
      upstream.on('error', () => socket.destroy());
      socket.on('error', () => upstream.destroy());
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const proxyUrl = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const config = server.kubeconfig().replace('"server"', `"proxy-url":"${proxyUrl}","server"`);
    await expect(ask(client({ kubeconfig: write('config', config) }))).resolves.toBe(200);
    expect(tunnels).toEqual([new URL(server.url).host]);
    proxy.close();
    proxy.closeAllConnections();
  });
});

describe('without a kubeconfig', () => {
  it('the Pod has its own, IPv6 too', async () => {
    const server = await fake({ certificates });
    server.faults.token = 'mounted';
    const { hostname, port } = new URL(server.url);
    const mounted: Readonly<Record<string, string>> = { 'ca.crt': certificates.ca, token: 'mounted\n' };
    const readFile = (path: string): string =>
      mounted[path.replace('/var/run/secrets/kubernetes.io/serviceaccount/', '')] ?? '';
    const inPod = (host: string): Partial<CredentialOptions> => {
      return { readFile, environment: { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } };
    };
    await expect(ask(client(inPod(hostname)))).resolves.toBe(200);
    expect(loadCredentials(options(inPod('fd00::1'))).server).toBe(`https://[fd00::1]:${port}`);
  });

  it('a master alone will do, as a URL or as host and port', async () => {
    const server = await fake();
    await expect(ask(client({ master: server.url }))).resolves.toBe(200);
    await expect(ask(client({ master: new URL(server.url).host }))).resolves.toBe(200);
  });

  it('a master goes before the kubeconfig, whose credentials stay', async () => {
    const server = await fake({ certificates });
    server.faults.token = 'one';
    const config = server.kubeconfig({ token: 'one' }).replace(server.url, 'https://192.0.2.1:6443');
    await expect(ask(client({ kubeconfig: write('config', config), master: server.url }))).resolves.toBe(200);
    expect(loadCredentials(options({ kubeconfig: pathOf('config'), master: '10.0.0.1:6443/' })).server).toBe(
      'https://10.0.0.1:6443',
    );
  });
});

describe("a user's mistake is one line", () => {
  const config = (change: Readonly<Record<string, unknown>>): string =>
    JSON.stringify({
      'current-context': 'c',
      contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
      clusters: [{ name: 'k', cluster: { server: 'https://192.0.2.1' } }],
      users: [{ name: 'u', user: {} }],
      ...change,
    });

  it.each([
    ['no kubeconfig there', undefined, /^kubeconfig .*config: ENOENT/],
    ['not YAML', 'a: [', /^kubeconfig .*config: \S/],
    ['no current context', config({ 'current-context': '' }), /config: no current-context$/],
    ['no such context', config({ contexts: [] }), /config: no context c$/],
    ['no such cluster', config({ clusters: null }), /config: no cluster k$/],
    ['no such user', config({ users: [{ name: 'other' }] }), /config: no user u$/],
    ['no server', config({ clusters: [{ name: 'k', cluster: {} }] }), /config: cluster k has no server$/],
    [
      'no URL',
      config({ clusters: [{ name: 'k', cluster: { server: 'https://:x' } }] }),
      /^not the URL of an API server: https:\/\/:x$/,
    ],
    ['no token file', config({ users: [{ name: 'u', user: { tokenFile: 'gone' } }] }), /^token file .*gone: ENOENT/],
    [
      'no authority',
      config({ clusters: [{ name: 'k', cluster: { server: 'https://x', 'certificate-authority': '/gone' } }] }),
      /^certificate authority \/gone: ENOENT/,
    ],
  ])('%s', (_what, text, message) => {
    const kubeconfig = text === undefined ? pathOf('config') : write('config', text);
    const load = (): unknown => loadCredentials(options({ kubeconfig }));
    expect(load).toThrow(UserError);
    expect(load).toThrow(message);
    expect(load).toThrow(/^[^\n]*$/);
  });

  it('neither a kubeconfig, nor a master, nor a Pod', () => {
    expect(() => loadCredentials(options({}))).toThrow(/^no API server: give --kubeconfig or --master/);
  });
});
