import { systemClock } from '../../../src/host/clock';
import { ApiClient } from '../../../src/sources/kubernetes/api-client';
import { loadCredentials } from '../../../src/sources/kubernetes/credentials';
import { listNodeAddresses } from '../../../src/sources/kubernetes/node-addresses';
import { FakeApiServer } from '../../support/fake-api-server';

let server: FakeApiServer;
let client: ApiClient;
const { signal } = new AbortController();

beforeEach(async () => {
  server = await FakeApiServer.start();
  const readFile = (): string => server.kubeconfig({ token: 'x' });
  const credentials = loadCredentials({ kubeconfig: 'k', master: '', readFile, environment: {}, clock: systemClock });
  client = new ApiClient(credentials, { userAgent: 'test' });
});
afterEach(async () => {
  client.close();
  await server.stop();
});

function putNode(name: string, ...addresses: readonly (readonly [type: string, address: string])[]): void {
  const status = { addresses: addresses.map(([type, address]) => ({ type, address })) };
  server.put({ kind: 'Node', apiVersion: 'v1', metadata: { name }, status });
}

test('of all Nodes, by pages from the cache, every address whatever its type, and no host names', async () => {
  for (let n = 0; n < 1100; n++) putNode(`n${n}`, ['InternalIP', `10.0.${n >> 8}.${n & 255}`], ['Hostname', `n${n}`]);
  putNode('edge', ['InternalIP', '192.168.88.11'], ['ExternalIP', '203.0.113.11'], ['InternalIP', 'FD88:0::11']);
  const found = await listNodeAddresses(client, signal);
  expect(found.size).toBe(1103);
  expect([found.get('203.0.113.11'), found.get('fd88::11'), found.get('10.0.4.75')]).toEqual(['edge', 'edge', 'n1099']);
  const [first, second] = server.requests.filter(({ resource, verb }) => resource === 'nodes' && verb === 'list');
  expect(first?.query).toMatchObject({ limit: '500', resourceVersion: '0' });
  expect(second?.query['continue']).not.toBe('');
});

test('a cluster without Nodes has none', async () => {
  expect((await listNodeAddresses(client, signal)).size).toBe(0);
});

test.each([
  ['403', { kind: 'status', status: 403, message: 'nodes is forbidden' }, /403 nodes is forbidden/],
  ['a reset', { kind: 'reset' }, /./],
  ['an answer cut short', { kind: 'cut', afterBytes: 20 }, /./],
] as const)('%s is no empty list', async (_, failure, message) => {
  putNode('edge', ['InternalIP', '192.168.88.11']);
  server.failNext({ verb: 'list', resource: 'nodes' }, failure);
  await expect(listNodeAddresses(client, signal)).rejects.toThrow(message);
});

test('a later page that fails leaves no half of a list', async () => {
  for (let n = 0; n < 600; n++) putNode(`n${n}`, ['InternalIP', `10.0.${n >> 8}.${n & 255}`]);
  server.failNext({ verb: 'list', resource: 'nodes', continued: true }, { kind: 'status', status: 500 });
  await expect(listNodeAddresses(client, signal)).rejects.toThrow(/500/);
});
