import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import {
  type RelayLimits,
  relayLimitsFor,
  type RelayTarget,
  socketOptions,
  TcpRelay,
} from '../../src/servers/tcp-relay';
import { freePort, portOf, release } from './listening';
import { until } from '../support/until';

const address = '127.0.0.1';
const open: { readonly servers: Server[]; readonly sockets: Socket[]; readonly relays: TcpRelay[] } = {
  servers: [],
  sockets: [],
  relays: [],
};
afterEach(async () => {
  for (const relay of open.relays.splice(0)) relay.stop();
  for (const socket of open.sockets.splice(0)) socket.destroy();
  await Promise.all(open.servers.splice(0).map(release));
});

async function listen(onClient: (socket: Socket) => void, paused = false): Promise<RelayTarget> {
  const server = createServer({ ...socketOptions, pauseOnConnect: paused }, (socket) => {
    socket.on('error', () => undefined);
    open.sockets.push(socket);
    onClient(socket);
  });
  server.listen(0, address);
  await once(server, 'listening');
  open.servers.push(server);
  return { address, port: portOf(server) };
}

interface Relayed {
  readonly relay: TcpRelay;
  readonly results: string[];
  readonly dial: () => Socket;
}

async function relayTo(endpoints: readonly RelayTarget[], limits: Partial<RelayLimits> = {}): Promise<Relayed> {
  const relay = new TcpRelay({ ...relayLimitsFor(1024), ...limits });
  open.relays.push(relay);
  const results: string[] = [];
  const next = (tried: ReadonlySet<RelayTarget>) => endpoints.find((each) => !tried.has(each));
  const { port } = await listen((client) => {
    void relay.serve(client, next).then(({ result, endpoint }) => {
      results.push(endpoint === undefined ? result : `${result} ${endpoints.indexOf(endpoint)}`);
    });
  }, true);
  const dial = (): Socket => {
    const socket = connect({ host: address, port, allowHalfOpen: true });
    open.sockets.push(socket);
    return socket;
  };
  return { relay, results, dial };
}

/** An async iterator would destroy the socket at the end. */
function readAll(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk) => (text += String(chunk)));
  return new Promise((resolve, reject) => {
    socket.once('end', () => resolve(text));
    socket.once('error', reject);
  });
}

function echo(socket: Socket): void {
  socket.pipe(socket);
}

/** How a socket ended: the code of its error, or `closed`. */
function endOf(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on('close', () => resolve('closed'));
    socket.resume();
  });
}

test('each side may finish sending and still receive', async () => {
  const server = await listen((socket) => {
    void readAll(socket).then((text) => socket.end(`got ${text}`));
  });
  const { relay, dial } = await relayTo([server]);
  const client = dial();
  client.end('all of it');
  expect(await readAll(client)).toBe('got all of it');
  await until(() => relay.size === 0);
});

test('an endpoint that speaks first and finishes first', async () => {
  const heard: string[] = [];
  const server = await listen((socket) => {
    socket.end('hello');
    void readAll(socket).then((text) => heard.push(text));
  });
  const { relay, dial } = await relayTo([server]);
  const client = dial();
  expect(await readAll(client)).toBe('hello');
  client.end('and bye');
  await until(() => heard[0] === 'and bye' && relay.size === 0);
});

test('much data arrives whole, and a receiver that does not read holds up the sender', async () => {
  const received: Socket[] = [];
  const server = await listen((socket) => received.push(socket), true);
  const { dial } = await relayTo([server]);
  const client = dial();
  const bytes = 64 << 20;
  let sent = false;
  client.end(Buffer.alloc(bytes, 'x'), () => (sent = true));
  await until(() => received.length === 1);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(sent).toBe(false);
  expect(process.memoryUsage().arrayBuffers).toBeLessThan(bytes + (16 << 20));
  let count = 0;
  for await (const chunk of received[0] as Socket) count += (chunk as Buffer).length;
  expect(count).toBe(bytes);
}, 30_000);

test('another endpoint is tried when one refuses', async () => {
  const refusing = { address, port: await freePort() };
  const { results, dial } = await relayTo([refusing, await listen(echo)]);
  const client = dial();
  client.end('once more');
  expect(await readAll(client)).toBe('once more');
  expect(results).toEqual(['relayed 1']);
});

test('when no endpoint accepts, the client is reset', async () => {
  const refusing = [{ address, port: await freePort() }];
  const { relay, results, dial } = await relayTo(refusing);
  expect(await endOf(dial())).toBe('ECONNRESET');
  await until(() => results.length === 1);
  expect(results).toEqual(['unanswered']);
  await until(() => relay.size === 0);
});

test('as many endpoints are tried as the limit says', async () => {
  const refusing = { address, port: await freePort() };
  const { results, dial } = await relayTo([refusing, { ...refusing }, await listen(echo)], { tries: 2 });
  expect(await endOf(dial())).toBe('ECONNRESET');
  await until(() => results.length === 1);
  expect(results).toEqual(['unanswered']);
});

test('an endpoint that does not answer is given up after a while', async () => {
  // Nobody answers for an address of TEST-NET-1, or the network says at once that it is unreachable.
  const silent = { address: '192.0.2.1', port: 80 };
  const { results, dial } = await relayTo([silent, await listen(echo)], { dialMs: 200 });
  const client = dial();
  client.end('still here');
  expect(await readAll(client)).toBe('still here');
  expect(results).toEqual(['relayed 1']);
});

test('a reset of one side resets the other', async () => {
  const accepted: Socket[] = [];
  const { relay, dial } = await relayTo([await listen((socket) => accepted.push(socket))]);
  const [first, second] = [dial(), dial()];
  await until(() => accepted.length === 2);
  const firstEnd = endOf(first);
  for (const socket of accepted.splice(0, 1)) socket.resetAndDestroy();
  await until(() => relay.size === 1);
  const [left] = accepted;
  if (left === undefined) throw new TypeError('one is left');
  const ends = Promise.race([firstEnd, endOf(second)]);
  expect(await ends).toBe('ECONNRESET');
  const leftEnd = endOf(left);
  for (const socket of [first, second]) if (!socket.destroyed) socket.resetAndDestroy();
  expect(await leftEnd).toBe('ECONNRESET');
  await until(() => relay.size === 0);
});

test('beyond the limit of connections a client is reset, until one has ended', async () => {
  const { relay, results, dial } = await relayTo([await listen(echo)], { connections: 1 });
  const first = dial();
  await until(() => results.length === 1);
  expect(await endOf(dial())).toBe('ECONNRESET');
  first.end();
  first.resume();
  await until(() => relay.size === 0);
  const third = dial();
  third.end('room');
  expect(await readAll(third)).toBe('room');
  expect(results).toEqual(['relayed 0', 'limited', 'relayed 0']);
});

test('a connection that is idle for too long is reset, and sooner once one side has finished', async () => {
  const server = await listen((socket) => void readAll(socket));
  const { dial } = await relayTo([server], { idleMs: 400, halfClosedMs: 100 });
  const [idle, half] = [dial(), dial()];
  half.end('that was all');
  const order: string[] = [];
  const ends = [
    endOf(idle).then((end) => order.push(`idle ${end}`)),
    endOf(half).then((end) => order.push(`half ${end}`)),
  ];
  await Promise.all(ends);
  expect(order).toEqual(['half ECONNRESET', 'idle ECONNRESET']);
});

test('stop resets what is open', async () => {
  const { relay, results, dial } = await relayTo([await listen(echo)]);
  const client = dial();
  await until(() => results.length === 1);
  const end = endOf(client);
  relay.stop();
  expect(await end).toBe('ECONNRESET');
});

test.each([
  [256, 16],
  [1024, 64],
  [1 << 20, 1024],
])('with %d files there may be %d connections', (files, connections) => {
  expect(relayLimitsFor(files).connections).toBe(connections);
});
