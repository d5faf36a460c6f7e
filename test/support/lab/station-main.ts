/**
 * The process inside a namespace. It has echo servers for the others, and a prober that follows requests. It is started as
 * `node station.cjs NAME PORT...`. Requests arrive on stdin, one line of JSON for each, and replies go to stdout. It ends when stdin ends.
 */
import { readFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { serveEchoes } from '../echo';
import { fetchHttp, HeldConnection, probe } from '../prober';
import { SteadyClient } from '../prober-steady';
import type { ReplyLine, ReplyOf, RequestLine, RequestOf, StationOperation } from './station-requests';

type Operations = { readonly [O in StationOperation]: (request: RequestOf<O>) => Promise<ReplyOf<O>> };

/** What one request opened. Later requests name it by its number. */
class Kept<T> {
  private readonly items = new Map<number, T>();
  private last = 0;
  add(item: T): number {
    this.items.set(++this.last, item);
    return this.last;
  }
  take(id: number): T {
    const item = this.items.get(id);
    if (item === undefined) throw new Error(`nothing kept as ${id}`);
    return item;
  }
}

const held = new Kept<HeldConnection>();
const steady = new Kept<SteadyClient>();

/** Forwards 127.0.0.1:port here to a unix socket: sockets with a path are the same in every network namespace. */
function relay(port: number, socketPath: string): Promise<null> {
  const server = createServer((inner) => {
    const outer = connect(socketPath);
    inner.on('error', () => outer.destroy()).on('close', () => outer.destroy());
    outer.on('error', () => inner.destroy()).on('close', () => inner.destroy());
    inner.pipe(outer).pipe(inner);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(null));
  });
}

const operations: Operations = {
  probe,
  http: ({ url, timeoutMs }) => fetchHttp(url, timeoutMs),
  hold: async (target) => {
    const connection = await HeldConnection.open(target);
    return { id: held.add(connection), answer: connection.answer };
  },
  ask: ({ id }) => held.take(id).ask(),
  release: ({ id, reset }) => {
    const connection = held.take(id);
    if (reset === true) connection.reset();
    else connection.close();
    return Promise.resolve(null);
  },
  'steady-start': (request) => Promise.resolve({ id: steady.add(new SteadyClient(request)) }),
  'steady-stop': ({ id }) => steady.take(id).stop(),
  read: ({ path }) => readFile(path, 'utf8'),
  relay: ({ port, socketPath }) => relay(port, socketPath),
};

async function answerLine(line: RequestLine): Promise<ReplyLine> {
  try {
    const operation = operations[line.operation] as (request: unknown) => Promise<unknown>;
    return { id: line.id, reply: await operation(line.request) };
  } catch (error) {
    return { id: line.id, error: String(error) };
  }
}

const write = (line: ReplyLine): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

async function main([name = '', ...ports]: readonly string[]): Promise<void> {
  // Ctrl-C in the terminal reaches every process of the group, but the parent decides when a station ends.
  process.on('SIGINT', () => undefined);
  await serveEchoes(name, ports.map(Number));
  write({ id: 0, reply: null });
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => void answerLine(JSON.parse(line) as RequestLine).then(write));
  lines.on('close', () => process.exit(0));
}

void main(process.argv.slice(2));
