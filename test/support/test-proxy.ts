/** A proxy on this machine for CONNECT, whole URLs and SOCKS 5. It records what it was asked for. */
import { createServer as createHttpServer, request as httpRequest, type RequestListener, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect, createServer, type Server as NetServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';

export interface TestProxyOptions {
  readonly tls?: { readonly cert: string; readonly key: string };
  /** `user:password`. Clients without it get 407. */
  readonly credentials?: string;
  /** The names that it knows, and where they lead. */
  readonly hosts?: Readonly<Record<string, string>>;
  /** The rest of the status line with which every CONNECT is answered. */
  readonly refuse?: string;
}

export class TestProxy {
  /** `CONNECT host:port`, `GET http://...`, `SOCKS host:port`. */
  readonly asked: string[] = [];
  readonly #sockets = new Set<Socket>();
  #server: NetServer;

  private constructor(private readonly options: TestProxyOptions) {
    this.#server = this.#http();
  }

  static async http(options: TestProxyOptions = {}): Promise<TestProxy> {
    const proxy = new TestProxy(options);
    await proxy.#listen();
    return proxy;
  }

  static async socks(options: TestProxyOptions = {}): Promise<TestProxy> {
    const proxy = new TestProxy(options);
    proxy.#server = createServer((socket) => void proxy.#serveSocks(socket).catch(() => socket.destroy()));
    await proxy.#listen();
    return proxy;
  }

  /** host:port. */
  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #listen(): Promise<void> {
    this.#server.on('connection', (socket: Socket) => this.#keep(socket));
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
  }

  #http(): Server {
    const { tls } = this.options;
    const serve: RequestListener = (request, response) => {
      this.asked.push(`${request.method ?? ''} ${request.url ?? ''}`);
      if (!this.#isKnown(request.headers['proxy-authorization'])) {
        response.writeHead(407).end();
        return;
      }
      const url = new URL(request.url ?? '');
      const headers = { ...request.headers };
      delete headers['proxy-authorization'];
      const forward = httpRequest(
        {
          host: this.#host(url.hostname),
          port: url.port,
          path: url.pathname + url.search,
          method: request.method,
          headers,
        },
        (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(response);
        },
      );
      forward.on('error', () => response.destroy());
      request.pipe(forward);
    };
    const server = tls === undefined ? createHttpServer(serve) : createHttpsServer(tls, serve);
    server.on('connect', (request, socket: Duplex) => {
      this.asked.push(`CONNECT ${request.url ?? ''}`);
      const refusal = this.#isKnown(request.headers['proxy-authorization'])
        ? this.options.refuse
        : '407 Proxy Authentication Required';
      if (refusal !== undefined) {
        socket.end(`HTTP/1.1 ${refusal}\r\n\r\n`);
        return;
      }
      const { hostname, port } = new URL(`http://${request.url ?? ''}`);
      this.#join(socket, hostname.replace(/[[\]]/g, ''), Number(port), 'HTTP/1.1 200 Connection established\r\n\r\n');
    });
    return server;
  }

  #isKnown(header: string | undefined): boolean {
    const { credentials } = this.options;
    return credentials === undefined || header === `Basic ${Buffer.from(credentials).toString('base64')}`;
  }

  #host(name: string): string {
    return this.options.hosts?.[name] ?? name;
  }

  #join(socket: Duplex, host: string, port: number, greeting: string | Buffer): void {
    const upstream = connect(port, this.#host(host), () => {
      socket.write(greeting);
      socket.pipe(upstream).pipe(socket);
    });
    this.#keep(upstream);
    upstream.on('close', () => socket.destroy());
    socket.on('error', () => upstream.destroy());
    socket.on('close', () => upstream.destroy());
  }

  /** RFC 1928 and 1929, for clients that use TCP. */
  async #serveSocks(socket: Socket): Promise<void> {
    const read = async (): Promise<Buffer> =>
      new Promise((resolve, reject) => {
        socket.once('data', resolve);
        socket.once('close', () => reject(new Error('closed')));
      });
    await read();
    const { credentials } = this.options;
    socket.write(Buffer.from([5, credentials === undefined ? 0 : 2]));
    if (credentials !== undefined) {
      const given = await read();
      const user = given.subarray(2, 2 + (given[1] ?? 0)).toString();
      const isRight = `${user}:${given.subarray(3 + user.length).toString()}` === credentials;
      socket.write(Buffer.from([1, isRight ? 0 : 1]));
      if (!isRight) throw new Error('refused');
    }
    const wanted = await read();
    const isName = wanted[3] === 3;
    const host = isName ? wanted.subarray(5, 5 + (wanted[4] ?? 0)).toString() : wanted.subarray(4, 8).join('.');
    const port = wanted.readUInt16BE(wanted.length - 2);
    this.asked.push(`SOCKS ${host}:${port}`);
    this.#join(socket, host, port, Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 80]));
  }
}
