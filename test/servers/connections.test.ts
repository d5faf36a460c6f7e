import { createServer, type RequestListener, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import { boundsFor, type ConnectionBounds, Connections, mostBodyBytes } from '../../src/servers/connections';
import { answerVerbosity } from '../../src/servers/verbosity';
import { createLogger } from '../../src/telemetry/logger';
import { portOf } from './listening';
import { until } from '../support/until';

const servers: Server[] = [];
const clients: Client[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.socket.destroy();
  await Promise.all(
    servers.splice(0).map((server) => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      return closed;
    }),
  );
});

const ok: RequestListener = (_, response) => response.end('ok');

async function serve(connections: Connections, answer: RequestListener = ok): Promise<number> {
  const server = createServer();
  servers.push(server);
  connections.serve(server, answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return portOf(server);
}

const bounds = (fields: Partial<ConnectionBounds> = {}): ConnectionBounds => ({
  perServer: 4,
  graceMs: 50,
  inAll: 100,
  ...fields,
});

/** A client that says what it is told to, and keeps what it hears. */
class Client {
  heard = '';
  isClosed = false;
  private constructor(readonly socket: Socket) {
    socket.on('data', (text: Buffer) => (this.heard += text.toString()));
    socket.on('error', () => undefined);
    socket.on('close', () => (this.isClosed = true));
  }

  static async of(port: number): Promise<Client> {
    const socket = connect(port, '127.0.0.1');
    const client = new Client(socket);
    clients.push(client);
    await new Promise((resolve) => socket.once('connect', resolve));
    return client;
  }

  static async several(port: number, count: number): Promise<Client[]> {
    const all: Client[] = [];
    while (all.length < count) all.push(await Client.of(port));
    return all;
  }

  async ask(path = '/'): Promise<string> {
    const before = this.heard.length;
    this.socket.write(`GET ${path} HTTP/1.1\r\nHost: it\r\n\r\n`);
    await until(() => this.isClosed || this.heard.length > before);
    return /^HTTP\/1.1 (\d+)/.exec(this.heard.slice(before))?.[1] ?? 'closed';
  }
}

const closed = (all: readonly Client[]): number => all.filter(({ isClosed }) => isClosed).length;

test('of more connections than it may have, a server closes those that have been idle longest', async () => {
  const port = await serve(new Connections(bounds()));
  const first = await Client.several(port, 4);
  // One that asks is no longer the one that has been idle longest.
  await first[0]?.ask();
  const second = await Client.several(port, 2);
  await until(() => closed(first) === 2);
  expect(first.map(({ isClosed }) => isClosed)).toEqual([false, true, true, false]);
  expect(closed(second)).toBe(0);
  for (const client of [first[0], first[3], ...second]) expect(await client?.ask()).toBe('200');
});

test('who connects has time to ask, however many come after it', async () => {
  const port = await serve(new Connections(bounds({ graceMs: 60_000 })));
  const [one] = await Client.several(port, 60);
  expect(await one?.ask()).toBe('200');
});

test('all servers together have a bound, and each new client is answered', async () => {
  const connections = new Connections(bounds({ perServer: 50, graceMs: 60_000, inAll: 20 }));
  const [a, b] = [await serve(connections), await serve(connections)];
  const ofOne = await Client.several(a, 20);
  const ofTheOther = await Client.several(b, 15);
  await until(() => closed(ofOne) === 15);
  expect(closed(ofTheOther)).toBe(0);
  const newest = await Client.of(a);
  expect(await newest.ask()).toBe('200');
});

test('one that waits for its answer is closed after those that do not', async () => {
  let answerLater: (() => void) | undefined;
  const answer: RequestListener = ({ url }, response) => {
    if (url === '/slow') answerLater = () => response.end('at last');
    else response.end('ok');
  };
  const port = await serve(new Connections(bounds()), answer);
  const slow = await Client.of(port);
  const asked = slow.ask('/slow');
  await until(() => answerLater !== undefined);
  const idle = await Client.several(port, 6);
  await until(() => closed(idle) === 3);
  answerLater?.();
  expect(await asked).toBe('200');
});

test('questions without end, on one connection, do not pile up', async () => {
  let asked = 0;
  const port = await serve(new Connections(bounds()), () => asked++);
  const client = await Client.of(port);
  client.socket.write('GET / HTTP/1.1\r\nHost: it\r\n\r\n'.repeat(1000));
  await until(() => client.isClosed);
  expect(asked).toBeLessThanOrEqual(8);
});

test('what answering throws is a 500, and the next question is answered', async () => {
  const port = await serve(new Connections(bounds()), ({ url }, response) => {
    response.end(new URL(url ?? '', 'http://localhost').pathname);
  });
  expect(await (await Client.of(port)).ask('//')).toBe('500');
  expect(await (await Client.of(port)).ask('/')).toBe('200');
});

describe('a body', () => {
  const log = createLogger({ verbosity: 0, format: 'text' }, () => undefined);
  const put = (length: string): string => `PUT / HTTP/1.1\r\nHost: it\r\n${length}\r\n\r\n`;

  test('that says it is too long is refused, by every server', async () => {
    for (const answer of [ok, answerVerbosity(log)]) {
      const client = await Client.of(await serve(new Connections(bounds()), answer));
      client.socket.write(put('Content-Length: 600000000'));
      await until(() => client.heard.startsWith('HTTP/1.1 413'));
      await until(() => client.isClosed);
    }
  });

  test('that turns out to be too long is refused too, and not read to its end', async () => {
    const client = await Client.of(await serve(new Connections(bounds()), answerVerbosity(log)));
    const chunk = `${mostBodyBytes.toString(16)}\r\n${'4'.repeat(mostBodyBytes)}\r\n`;
    client.socket.write(`${put('Transfer-Encoding: chunked')}${chunk}${chunk}`);
    await until(() => client.heard.startsWith('HTTP/1.1 413'));
    await until(() => client.isClosed);
  });

  test('of the size that is wanted is read', async () => {
    const client = await Client.of(await serve(new Connections(bounds()), answerVerbosity(log)));
    client.socket.write(`${put('Content-Length: 1')}0`);
    await until(() => client.heard.startsWith('HTTP/1.1 200'));
  });
});

test.each([
  [64, { perServer: 16, inAll: 32 }],
  [1024, { perServer: 64, inAll: 512 }],
  [2 ** 64, { perServer: 64, inAll: 512 }],
])('at a limit of %d files', (mostOpenFiles, expected) => {
  expect(boundsFor(mostOpenFiles)).toMatchObject(expected);
});
