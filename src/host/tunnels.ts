/** Connections through a proxy: CONNECT (RFC 9110, 9.3.6) and SOCKS 5. */
import { type AgentOptions, type ClientRequestArgs, Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { messageOf } from '../model/error-message';
import { hostOf, portOf } from './proxy-rules';
import type { TlsOptions } from './tls-settings';

const tunnelMs = 30_000;

export interface Proxy {
  readonly url: URL;
  /** For a proxy that is reached by https. */
  readonly tls: () => TlsOptions;
}

/** The host and port that an agent connects to. */
interface Target {
  readonly host?: string | null | undefined;
  readonly port?: number | string | null | undefined;
}

type Done = (error: Error | null, socket?: Duplex) => void;

/** The credentials in the proxy's URL, as headers. */
export function proxyHeaders({ username, password }: URL): Readonly<Record<string, string>> {
  if (username === '' && password === '') return {};
  const text = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(text).toString('base64')}` };
}

function failed(url: URL, why: string): Error {
  return new Error(`proxy ${url.host}: ${why}`);
}

function connectByHttp({ url, tls }: Proxy, host: string, port: number): Promise<Socket> {
  const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const isSecure = url.protocol === 'https:';
  const request = (isSecure ? httpsRequest : httpRequest)({
    host: hostOf(url),
    port: portOf(url),
    method: 'CONNECT',
    path: authority,
    headers: { host: authority, ...proxyHeaders(url) },
    agent: false,
    signal: AbortSignal.timeout(tunnelMs),
    ...(isSecure ? tls() : {}),
  });
  return new Promise((resolve, reject) => {
    request.on('connect', ({ statusCode, statusMessage = '' }, socket, head) => {
      if (statusCode === 200) {
        if (head.length > 0) socket.unshift(head);
        resolve(socket);
        return;
      }
      socket.destroy();
      reject(failed(url, `${statusCode} ${statusMessage}`.trim()));
    });
    request.on('error', (error) =>
      reject(failed(url, error.name === 'AbortError' ? `no answer in ${tunnelMs / 1000} s` : error.message)),
    );
    request.end();
  });
}

async function connectBySocks({ url }: Proxy, host: string, port: number): Promise<Socket> {
  const { SocksClient } = await import('socks');
  const user = url.username === '' ? {} : { userId: decodeURIComponent(url.username) };
  const password = url.username === '' ? {} : { password: decodeURIComponent(url.password) };
  try {
    const { socket } = await SocksClient.createConnection({
      // The proxy looks up names.
      proxy: { host: hostOf(url), port: Number(portOf(url)), type: 5, ...user, ...password },
      command: 'connect',
      destination: { host, port },
      timeout: tunnelMs,
    });
    return socket;
  } catch (error) {
    throw failed(url, messageOf(error));
  }
}

export function isSocks({ protocol }: URL): boolean {
  return protocol.startsWith('socks');
}

function openTunnel(proxy: Proxy, { host, port }: Target): Promise<Socket> {
  const connect = isSocks(proxy.url) ? connectBySocks : connectByHttp;
  return connect(proxy, host ?? 'localhost', Number(port));
}

/** For servers that are reached by plain http through a SOCKS proxy. */
export class TunnelHttpAgent extends HttpAgent {
  readonly #proxy: Proxy;

  constructor(proxy: Proxy, options: AgentOptions) {
    super(options);
    this.#proxy = proxy;
  }

  override createConnection(options: ClientRequestArgs, done: Done): undefined {
    openTunnel(this.#proxy, options).then((socket) => done(null, socket), done);
  }
}

/** For servers that are reached by https through any proxy. TLS with the server starts inside the tunnel. */
export class TunnelHttpsAgent extends HttpsAgent {
  readonly #proxy: Proxy;

  constructor(proxy: Proxy, options: AgentOptions & TlsOptions) {
    super(options);
    this.#proxy = proxy;
  }

  override createConnection(options: ClientRequestArgs, done: Done): undefined {
    openTunnel(this.#proxy, options).then(
      // Node's types know neither the option `socket` nor that the result is always a stream.
      (socket) => done(null, super.createConnection({ ...options, socket } as ClientRequestArgs) as Duplex),
      done,
    );
  }
}
