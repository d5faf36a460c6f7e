import { systemClock } from '../../../src/host/clock';
import { isAllowed, neededPermissions, printPermission } from '../../../src/sources/kubernetes/access-review';
import { ApiClient, ApiError } from '../../../src/sources/kubernetes/api-client';
import { loadCredentials } from '../../../src/sources/kubernetes/credentials';
import { FakeApiServer } from '../../support/fake-api-server';

let server: FakeApiServer;
let client: ApiClient;
const codes: string[] = [];
const signal = new AbortController().signal;
const ignore = (): void => undefined;

beforeEach(async () => {
  server = await FakeApiServer.start();
  codes.length = 0;
  const credentials = loadCredentials({
    kubeconfig: 'k',
    master: '',
    readFile: () => server.kubeconfig({ token: 'x' }),
    environment: {},
    clock: systemClock,
  });
  client = new ApiClient(credentials, {
    userAgent: 'test',
    observer: {
      watchStarted: ignore,
      watchEnded: ignore,
      relisted: ignore,
      requestDone: ({ method, code }) => codes.push(`${method} ${code}`),
    },
  });
});
afterEach(async () => {
  client.close();
  await server.stop();
});

test('each permission is asked for, and the answer is believed', async () => {
  server.faults.denied = ['watch discovery.k8s.io/endpointslices'];
  const answers: string[] = [];
  for (const permission of neededPermissions)
    if (await isAllowed(client, permission, signal)) answers.push(printPermission(permission));
  expect(answers).toEqual(['list services', 'watch services', 'list discovery.k8s.io/endpointslices']);
  expect(codes).toEqual(Array(4).fill('POST 201'));
});

test('a refusal of the question itself is an error', async () => {
  server.faults.token = 'another';
  const error: unknown = await isAllowed(client, { group: '', resource: 'services', verb: 'list' }, signal).catch(
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ApiError);
  expect(error).toMatchObject({ status: 401 });
  // The credentials are read anew in between.
  expect(codes).toEqual(['POST 401', 'POST 401']);
});
