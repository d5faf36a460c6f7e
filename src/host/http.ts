/** HTTP/1.1 requests whose answers are read as they arrive, as a watch needs it. */
import { type AgentOptions, type ClientRequest, Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { isIP, type Socket } from 'node:net';
import type { HttpRequest } from './http-request';
import { causeOf, HttpResponse, HttpSilenceError, type SilencePhase } from './http-response';
import { hostOf, type ProxyChoice } from './proxy-rules';
import { mostRedirects, redirected } from './redirects';
import { tlsOptions, type TlsOptions, type TlsSettings } from './tls-settings';
import { isSocks, type Proxy, proxyHeaders, TunnelHttpAgent, TunnelHttpsAgent } from './tunnels';

export { HttpResponse, HttpSilenceError, HttpSlownessError, type ReadLimits } from './http-response';
export type { TlsSettings } from './tls-settings';

/** The kernel then asks a silent peer whether it is there. With libuv's ten probes one second apart, a dead peer is known after 25 s. */
const tcpKeepAliveMs = 15_000;

/** Time to look up a name, at every server of resolv.conf in turn. */
const lookupTimeoutMs = 30_000;

/** Time for four SYNs. A new attempt finds a network that is back sooner than the kernel's next SYN, which is 8 s away. */
const connectTimeoutMs = 10_000;

/** As in Go. */
const handshakeTimeoutMs = 10_000;

/** Time for one of several addresses. With Node's 250 ms, no server that is far away would ever be reached. */
const addressTimeoutMs = 2000;

/** As in Go: an idle connection is closed after this time. */
const idleConnectionMs = 90_000;

/** Bytes. Node's 16 KiB are too few for the proxies in front of some API servers. */
const mostHeaders = 1024 * 1024;

export interface HttpConnectionsOptions {
  readonly tls?: TlsSettings;
  readonly proxyFor?: ProxyChoice;
  /** For a proxy that is reached by https, whose certificate may have an authority of its own. */
  readonly proxyTls?: () => TlsSettings;
}

/** Connections with one set of TLS settings. Idle connections are kept and used again. */
export class HttpConnections {
  readonly #agents = new Map<string, HttpAgent>();
  #tls: TlsOptions | undefined;
  #proxyTls: TlsOptions | undefined;
  readonly #options: HttpConnectionsOptions;

  /** Throws where a certificate or key cannot be used. */
  constructor(options: HttpConnectionsOptions = {}) {
    this.#options = options;
    if (options.tls !== undefined) this.#tls = tlsOptions(options.tls);
  }

  /** Resolves with the server's answer of any status, after redirects. Rejects when no answer comes. */
  async send(request: HttpRequest): Promise<HttpResponse> {
    let next = request;
    for (let redirects = 0; ; redirects++) {
      const response = await this.#sendAgain(next);
      const to = redirected(next, request.url, response.status, response.header('location'));
      if (to === undefined) return response;
      response.close();
      if (redirects === mostRedirects) throw new Error(`stopped after ${mostRedirects} redirects`);
      next = to;
    }
  }

  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
  }

  async #sendAgain(request: HttpRequest): Promise<HttpResponse> {
    for (;;) {
      const sent = this.#send(request);
      try {
        return await answerTo(sent, request);
      } catch (error) {
        // The server closed an idle connection just when it was used again, which says nothing about the server.
        if (!sent.reusedSocket || request.signal.aborted || error instanceof HttpSilenceError) throw error;
      }
    }
  }

  #send({ url, method = 'GET', headers, signal }: HttpRequest): ClientRequest {
    const proxyUrl = this.#options.proxyFor?.(url);
    const options = { method, signal, maxHeaderSize: mostHeaders, autoSelectFamilyAttemptTimeout: addressTimeoutMs };
    if (proxyUrl === undefined) return requestOf(url)(url, { ...options, headers, agent: this.#agent(url) });
    const proxy = { url: proxyUrl, tls: () => (this.#proxyTls ??= tlsOptions(this.#options.proxyTls?.() ?? {})) };
    if (url.protocol === 'https:' || isSocks(proxyUrl))
      return requestOf(url)(url, { ...options, headers, agent: this.#agent(url, proxy) });
    // For plain http, an HTTP proxy is given the whole URL, without a tunnel.
    return requestOf(proxyUrl)({
      ...options,
      host: hostOf(proxyUrl),
      port: proxyUrl.port,
      path: url.href,
      headers: { ...headers, host: url.host, ...proxyHeaders(proxyUrl) },
      agent: this.#agent(proxyUrl, proxy, true),
    });
  }

  /** @param isProxy whether the URL is the proxy's own. */
  #agent(url: URL, proxy?: Proxy, isProxy = false): HttpAgent {
    const isSecure = url.protocol === 'https:';
    const key = `${url.protocol} ${proxy?.url.href ?? ''} ${isProxy}`;
    let agent = this.#agents.get(key);
    if (agent === undefined) {
      const kept: AgentOptions = { keepAlive: true, timeout: idleConnectionMs };
      const tls = (): TlsOptions =>
        isProxy && proxy !== undefined ? proxy.tls() : (this.#tls ??= tlsOptions(this.#options.tls ?? {}));
      if (proxy === undefined || isProxy)
        agent = isSecure ? new HttpsAgent({ ...kept, ...tls() }) : new HttpAgent(kept);
      else agent = isSecure ? new TunnelHttpsAgent(proxy, { ...kept, ...tls() }) : new TunnelHttpAgent(proxy, kept);
      this.#agents.set(key, agent);
    }
    return agent;
  }
}

function requestOf(url: URL): typeof httpsRequest {
  return url.protocol === 'https:' ? httpsRequest : httpRequest;
}

function answerTo(request: ClientRequest, { url, body, responseTimeoutMs }: HttpRequest): Promise<HttpResponse> {
  return new Promise<HttpResponse>((resolve, reject) => {
    // It has its own timer: node:http's begins when the socket is connected, and the kernel tries to connect for two minutes.
    let timer: NodeJS.Timeout;
    const limit = (ms: number, phase: SilencePhase): void => {
      clearTimeout(timer);
      const shortest = Math.min(ms, responseTimeoutMs);
      timer = setTimeout(() => request.destroy(new HttpSilenceError(shortest, phase)), shortest);
    };
    limit(lookupTimeoutMs, 'connect');
    request.on('socket', (socket) => followConnection(socket, url, limit));
    request.on('error', (error) => {
      clearTimeout(timer);
      reject(causeOf(error));
    });
    request.on('response', (message) => {
      clearTimeout(timer);
      resolve(new HttpResponse(request, message));
    });
    request.end(body);
  });
}

/** Looking up, connecting and the TLS handshake each have their own limit. The answer has its whole time after them. */
function followConnection(socket: Socket, url: URL, limit: (ms: number, phase: SilencePhase) => void): void {
  socket.setKeepAlive(true, tcpKeepAliveMs);
  const answer = (): void => limit(Infinity, 'answer');
  if (socket.connecting) {
    const isAddress = isIP(hostOf(url)) !== 0;
    limit(isAddress ? connectTimeoutMs : lookupTimeoutMs, 'connect');
    socket.once('lookup', () => limit(connectTimeoutMs, 'connect'));
  }
  // secureConnecting is not in Node's types: it is true until the handshake is done.
  const isShakingHands = 'secureConnecting' in socket && socket.secureConnecting === true;
  if (isShakingHands) {
    if (socket.connecting) socket.once('connect', () => limit(handshakeTimeoutMs, 'connect'));
    else limit(handshakeTimeoutMs, 'connect');
    socket.once('secureConnect', answer);
  } else if (socket.connecting) socket.once('connect', answer);
  else answer();
}
