import { createServer } from 'node:http';
import { answerCpuProfile } from '../../src/servers/cpu-profile';
import { portOf, release } from './listening';

const server = createServer(answerCpuProfile());
beforeAll(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)));
afterAll(() => release(server));
const ask = (query: string, signal?: AbortSignal): Promise<Response> =>
  fetch(`http://127.0.0.1:${portOf(server)}/debug/cpuprofile${query}`, { signal: signal ?? null });

test('a profile names the functions that ran, and there is one at a time', async () => {
  const taken = ask('?seconds=0.3');
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect((await ask('?seconds=0.1')).status).toBe(409);
  function burn(): void {
    const end = Date.now() + 100;
    while (Date.now() < end);
  }
  burn();
  const response = await taken;
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/json']);
  const { nodes } = (await response.json()) as { nodes: { callFrame: { functionName: string } }[] };
  expect(nodes.map(({ callFrame }) => callFrame.functionName)).toContain('burn');
});

test('whoever goes away leaves the next one its turn', async () => {
  const gone = new AbortController();
  const left = ask('?seconds=100', gone.signal).catch((error: unknown) => (error as Error).name);
  await new Promise((resolve) => setTimeout(resolve, 50));
  gone.abort();
  expect(await left).toBe('AbortError');
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect((await ask('?seconds=0.05')).status).toBe(200);
});

test.each(['?seconds=0', '?seconds=x', '?seconds=1000'])('%s is refused', async (query) => {
  expect((await ask(query)).status).toBe(400);
});
