/** Clients of fake API servers, by kubeconfigs in a folder of the test's own. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../src/host/clock';
import { ApiClient } from '../../../src/sources/kubernetes/api-client';
import { type CredentialOptions, loadCredentials } from '../../../src/sources/kubernetes/credentials';
import { FakeApiServer, type FakeApiServerOptions } from '../../support/fake-api-server';

let folder: string;
const servers: FakeApiServer[] = [];
const clients: ApiClient[] = [];

/** Each test has a folder of its own, which goes afterwards, with its clients and servers. */
export function useKubeconfigs(): void {
  // client-node is hundreds of files, which jest transforms when they are first met.
  beforeAll(() => import('../../../src/sources/kubernetes/plugin-access'), 120_000);
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'vipwire-credentials-'));
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    for (const server of servers.splice(0)) await server.stop();
    rmSync(folder, { recursive: true });
  });
}

export async function fake(options: FakeApiServerOptions = {}): Promise<FakeApiServer> {
  const server = await FakeApiServer.start(options);
  servers.push(server);
  return server;
}

export function pathOf(name: string): string {
  return join(folder, name);
}

export function write(name: string, text: string): string {
  writeFileSync(pathOf(name), text);
  return pathOf(name);
}

export function options(more: Partial<CredentialOptions>): CredentialOptions {
  const readFile = (path: string): string => readFileSync(path, 'utf8');
  return { kubeconfig: '', master: '', readFile, environment: {}, clock: systemClock, ...more };
}

export function client(more: Partial<CredentialOptions>): ApiClient {
  const made = new ApiClient(loadCredentials(options(more)), { userAgent: 'vipwire/test', responseTimeoutMs: 2000 });
  clients.push(made);
  return made;
}

/** The status of a list of Services, which is 200 unless this rejects. */
export async function ask(of: ApiClient): Promise<number> {
  const response = await of.get('/api/v1/services', {}, new AbortController().signal);
  await response.read(() => undefined, 2000);
  return response.status;
}
