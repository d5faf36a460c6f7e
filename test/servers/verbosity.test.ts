import { createServer, type Server } from 'node:http';
import { answerVerbosity } from '../../src/servers/verbosity';
import { createLogger } from '../../src/telemetry/logger';
import { portOf, release } from './listening';

let lines: string[];
let log: ReturnType<typeof createLogger>;
let server: Server;
beforeEach(async () => {
  lines = [];
  log = createLogger({ verbosity: 0, format: 'text' }, (line) => lines.push(line));
  server = createServer(answerVerbosity(log));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(() => {
  server.closeAllConnections();
  return release(server);
});

async function send(method: string, body?: string): Promise<[number, string]> {
  const response = await fetch(`http://127.0.0.1:${portOf(server)}/`, { method, body: body ?? null });
  return [response.status, await response.text()];
}

test('another verbosity counts at once', async () => {
  log.debug('before');
  expect(await send('PUT', '4')).toEqual([200, 'successfully set the verbosity to 4']);
  log.debug('after');
  expect(lines.map((line) => line.split('] ')[1])).toEqual([
    '"the verbosity of the log has changed" v=4\n',
    '"after"\n',
  ]);
});

test.each([
  ['GET', undefined, 405],
  ['PUT', 'much', 400],
  ['PUT', '-1', 400],
])('%s %s is refused', async (method, body, status) => {
  await send('PUT', '4');
  expect((await send(method, body))[0]).toBe(status);
  log.debug('still');
  expect(lines.at(-1)).toContain('"still"');
});
