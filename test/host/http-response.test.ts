import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { HttpConnections } from '../../src/host/http';
import { causeOf, type HttpResponse, HttpSilenceError, HttpSlownessError } from '../../src/host/http-response';

describe('HttpResponse, from a server on this machine', () => {
  const connections = new HttpConnections();
  const aborter = new AbortController();
  let serve: RequestListener = () => undefined;
  let server: Server;
  beforeAll(async () => {
    server = createServer((request, response) => serve(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterAll(async () => {
    connections.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  function ask(answer: (response: ServerResponse) => void): Promise<HttpResponse> {
    serve = (_, response) => answer(response);
    const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    return connections.send({ url, headers: {}, signal: aborter.signal, responseTimeoutMs: 30_000 });
  }

  async function textOf(response: HttpResponse): Promise<string> {
    const chunks: Buffer[] = [];
    await response.read((chunk) => chunks.push(chunk), 30_000);
    return Buffer.concat(chunks).toString();
  }

  test('status, headers and body', async () => {
    const response = await ask((to) =>
      to.writeHead(418, { 'x-kind': ['a', 'b'], 'set-cookie': ['c', 'd'] }).end('tea'),
    );
    expect(response.status).toBe(418);
    expect(['x-kind', 'set-cookie', 'x-none'].map((name) => response.header(name))).toEqual(['a, b', 'c', undefined]);
    expect(await textOf(response)).toBe('tea');
  });

  test('an empty body ends at once', async () => {
    expect(await textOf(await ask((to) => to.writeHead(204).end()))).toBe('');
  });

  test('a body that a proxy has compressed', async () => {
    const text = 'text '.repeat(10_000);
    const response = await ask((to) => to.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(text)));
    expect(await textOf(response)).toBe(text);
  });

  test.each([
    ['gzip that is damaged', Buffer.from('this is no gzip')],
    ['gzip that stops in the middle', gzipSync('text '.repeat(10_000)).subarray(0, 40)],
  ])('%s is an error', async (_, body) => {
    const response = await ask((to) => to.writeHead(200, { 'content-encoding': 'gzip' }).end(body));
    await expect(textOf(response)).rejects.toMatchObject({ code: /^Z_/ });
  });

  test.each(['read at once', 'read when it has failed already'])(
    'a body that is cut short is an error, %s',
    async (when) => {
      const response = await ask((to) => {
        to.writeHead(200, { 'content-length': 10 });
        to.write('half', () => to.destroy());
      });
      if (when !== 'read at once') await sleep(100);
      await expect(textOf(response)).rejects.toThrow();
    },
  );

  test('what the reader throws ends the body, and nothing more is handed over', async () => {
    const seen: string[] = [];
    const response = await ask((to) => {
      to.write('one');
      setTimeout(() => to.end('two'), 50);
    });
    const read = response.read((chunk) => {
      seen.push(chunk.toString());
      throw new Error('enough');
    }, 30_000);
    await expect(read).rejects.toThrow('enough');
    expect(seen).toEqual(['one']);
  });

  test('silence ends the body', async () => {
    const response = await ask((to) => void to.write('one'));
    await expect(response.read(() => undefined, 100)).rejects.toEqual(new HttpSilenceError(100));
  });

  test('a body that trickles is too slow, though it is never silent', async () => {
    const response = await ask((to) => {
      const timer = setInterval(() => to.write('.'), 20);
      to.on('close', () => clearInterval(timer));
    });
    const read = response.read(() => undefined, { idleMs: 400, leastRate: 10_000 });
    await expect(read).rejects.toBeInstanceOf(HttpSlownessError);
  });

  test('a body is given up that is not complete in time', async () => {
    const response = await ask((to) => {
      const timer = setInterval(() => to.write('.'), 20);
      to.on('close', () => clearInterval(timer));
    });
    const read = response.read(() => undefined, { idleMs: 30_000, totalMs: 200 });
    await expect(read).rejects.toEqual(new HttpSlownessError('not complete after 0.2 s'));
  });

  test('new limits replace those that were given first', async () => {
    const response = await ask((to) => {
      to.write('one');
      setTimeout(() => to.end('two'), 300);
    });
    let text = '';
    const read = response.read((chunk) => (text += chunk.toString()), { idleMs: 30_000, totalMs: 100 });
    response.limit({ idleMs: 30_000 });
    await read;
    expect(text).toBe('onetwo');
  });
});

test('of an error for several addresses the first one counts', () => {
  const [first, second] = [new Error('refused'), new Error('no route')];
  expect(causeOf(new AggregateError([first, second]))).toBe(first);
  const empty = new AggregateError([]);
  expect(causeOf(empty)).toBe(empty);
  expect(causeOf(second)).toBe(second);
});
