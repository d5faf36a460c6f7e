/** HTTP/1.1 requests whose answers are read as they arrive: what a watch needs. */
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import type { AgentOptions, ClientRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import type { Socket } from 'node:net';
import type { SilencePhase } from './http-response';
import { causeOf, HttpResponse, HttpSilenceError } from './http-response';
import { hostOf, type ProxyChoice } from './proxy-rules';
import { mostRedirects, redirected } from './redirects';
import { tlsOptions, type TlsOptions, type TlsSettings } from './tls-settings';
import { isSocks, type Proxy, proxyHeaders, TunnelHttpAgent, TunnelHttpsAgent } from './tunnels';

import type { HttpRequest } from './http-request';

export { HttpResponse, HttpSilenceError, HttpSlownessError, type ReadLimits } from './http-response';
export type { TlsSettings } from './tls-settings';

/** The kernel asks a silent peer whether it is there: with libuv's ten probes a second apart, a dead one is known after 25 s. */
const tcpKeepAliveMs = 15_000;

/** Of a name, by every server of resolv.conf in turn. */
const lookupTimeoutMs = 30_000;

/** Four SYNs. A new attempt finds a network that is back sooner than the kernel's next SYN, which is 8 s away. */
const connectTimeoutMs = 10_000;

/** Go's. */
const handshakeTimeoutMs = 10_000;

/** Of one address of several. With Node's quarter of a second nothing that is far away is ever reached. */
const addressTimeoutMs = 2000;

/** Go's: an idle connection is closed after it. */
const idleConnectionMs = 90_000;

/** Bytes. Node's 16 KiB are little for what stands in front of some API servers. */
const mostHeaders = 1024 * 1024;

export interface HttpConnectionsOptions {
  readonly tls?: TlsSettings;
  readonly proxyFor?: ProxyChoice;
  /** For a proxy of https, which an authority of its own may vouch for. */
  readonly proxyTls?: () => TlsSettings;
}

/** Connections with one set of TLS settings; those that are idle are kept and used again. */
export class HttpConnections {
  readonly #agents = new Map<string, HttpAgent>();
  #tls: TlsOptions | undefined;
  #proxyTls: TlsOptions | undefined;

  /** Throws where a certificate or key cannot be used. */
  constructor(private readonly options: HttpConnectionsOptions = {}) {
    if (options.tls !== undefined) this.#tls = tlsOptions(options.tls);
  }

  /** Resolves with whatever status the server answers, after redirects; rejects when no answer comes. */
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
        // The server had closed an idle connection just when it was used again: that says nothing about the server.
        if (!sent.reusedSocket || request.signal.aborted || error instanceof HttpSilenceError) throw error;
      }
    }
  }

  #send({ url, method = 'GET', headers, signal }: HttpRequest): ClientRequest {
    const proxyUrl = this.options.proxyFor?.(url);
    const options = { method, signal, maxHeaderSize: mostHeaders, autoSelectFamilyAttemptTimeout: addressTimeoutMs };
    if (proxyUrl === undefined) return requestOf(url)(url, { ...options, headers, agent: this.#agent(url) });
    const proxy = { url: proxyUrl, tls: () => (this.#proxyTls ??= tlsOptions(this.options.proxyTls?.() ?? {})) };
    if (url.protocol === 'https:' || isSocks(proxyUrl))
      return requestOf(url)(url, { ...options, headers, agent: this.#agent(url, proxy) });
    // A proxy of HTTP is asked for plain http by the whole URL, without a tunnel.
    return requestOf(proxyUrl)({
      ...options,
      host: hostOf(proxyUrl),
      port: proxyUrl.port,
      path: url.href,
      headers: { ...headers, host: url.host, ...proxyHeaders(proxyUrl) },
      agent: this.#agent(proxyUrl, proxy, true),
    });
  }

  /** @param isProxy the URL is the proxy's own. */
  #agent(url: URL, proxy?: Proxy, isProxy = false): HttpAgent {
    const isSecure = url.protocol === 'https:';
    const key = `${url.protocol} ${proxy?.url.href ?? ''} ${isProxy}`;
    let agent = this.#agents.get(key);
    if (agent === undefined) {
      const kept: AgentOptions = { keepAlive: true, timeout: idleConnectionMs };
      const tls = (): TlsOptions =>
        isProxy && proxy !== undefined ? proxy.tls() : (this.#tls ??= tlsOptions(this.options.tls ?? {}));
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
    // A timer of its own: node:http's begins when the socket is connected, and the kernel tries for two minutes.
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

/** Each part of a connection's beginning has its own limit, and the answer has its whole time after it. */
function followConnection(socket: Socket, url: URL, limit: (ms: number, phase: SilencePhase) => void): void {
  socket.setKeepAlive(true, tcpKeepAliveMs);
  const answer = (): void => limit(Infinity, 'answer');
  if (socket.connecting) {
    const isAddress = isIP(hostOf(url)) !== 0;
    limit(isAddress ? connectTimeoutMs : lookupTimeoutMs, 'connect');
    socket.once('lookup', () => limit(connectTimeoutMs, 'connect'));
  }
  // Not in Node's types: true until the handshake is done.
  const isShakingHands = (socket as { readonly secureConnecting?: boolean }).secureConnecting === true;
  if (isShakingHands) {
    if (socket.connecting) socket.once('connect', () => limit(handshakeTimeoutMs, 'connect'));
    else limit(handshakeTimeoutMs, 'connect');
    socket.once('secureConnect', answer);
  } else if (socket.connecting) socket.once('connect', answer);
  else answer();
}
